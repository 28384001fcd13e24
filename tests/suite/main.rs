//! The integration tests. They are one binary, so that the service and its dependencies are linked
//! once.
//!
//! `cargo test --test suite MODULE::` runs one module.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod admin_webhooks;
mod architecture;
mod authors;
mod aws_account;
mod bounds;
mod brake;
mod bulk;
mod cli;
mod cli_aws;
mod cli_invoke;
mod cli_webhooks;
mod concurrency;
mod conformance_page;
mod credentials;
mod deliveries;
mod directory;
mod doctor;
mod due;
mod event_bus;
mod events;
mod exchanges;
mod fairness;
mod faults;
mod feed;
mod feed_histories;
mod floor;
mod http;
mod index_versions;
mod journal;
mod lambda_events;
mod large_groups;
mod last_modified;
mod late_indexes;
mod lifecycle;
mod local_stream;
mod long_values;
mod partition_limits;
mod permissions;
mod play;
mod query_costs;
mod query_paging;
mod query_plans;
mod registered;
mod secrecy;
mod secrets_contract;
mod secrets_manager_faults;
mod simulation;
mod stack_store;
mod status;
mod stored_form;
mod stream_faults;
mod stream_filter;
mod support;
mod tenancy;
mod time_limits;
mod tombstones;
mod v1;
mod versions;
mod webhooks;
mod worker;
