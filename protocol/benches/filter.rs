//! Reading, binding and evaluating the filters of `filters.txt`, which identity providers and the
//! RFCs use, with the `scim-filter` crate's parser on the same texts.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scim_protocol::filter::{BoundFilter, Filter};
use scim_protocol::profile::{Reading, Rules};
use scim_protocol::schema::{Registry, ResourceType};
use serde_json::{Map, Value};

const FILTERS: &str = include_str!("filters.txt");
const USER: &str = include_str!("user.json");

fn parse(text: &str, rules: &Rules) -> Option<Filter> {
    Filter::parse(text, &mut Reading::new(rules)).ok()
}

fn their_parser_reads(text: &str) -> bool {
    scim_filter::parser::filter(text).is_ok_and(|(rest, _)| rest.is_empty())
}

fn bind(filter: &Filter, users_and_groups: &[&ResourceType], rules: &Rules) -> Option<BoundFilter> {
    let bound = filter.bind_each(users_and_groups, &mut Reading::new(rules));
    bound.ok().map(BoundFilter::any_of)
}

fn filters(criterion: &mut Criterion) {
    let rules = Rules::default();
    let texts: Vec<&str> = FILTERS.lines().collect();
    let ours: Vec<Filter> = texts.iter().filter_map(|t| parse(t, &rules)).collect();
    let theirs = texts.iter().filter(|t| their_parser_reads(t)).count();
    println!(
        "of {} filters, this crate reads {} and scim-filter {theirs}",
        texts.len(),
        ours.len()
    );
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::Elements(texts.len() as u64));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| {
            texts
                .iter()
                .filter_map(|t| parse(black_box(t), &rules))
                .count()
        })
    });
    group.bench_function("parse with scim-filter", |bencher| {
        bencher.iter(|| {
            texts
                .iter()
                .filter(|t| their_parser_reads(black_box(t)))
                .count()
        })
    });
    let types = ["User", "Group"].map(|name| {
        let found = Registry::builtin().resource_type(name);
        &**found.expect("both types are built in")
    });
    group.bench_function("bind", |bencher| {
        let bind = |filter: &Filter| bind(black_box(filter), &types, &rules);
        bencher.iter(|| ours.iter().filter_map(bind).count())
    });
    let bound: Vec<_> = ours
        .iter()
        .filter_map(|f| bind(f, &types, &rules))
        .collect();
    let user: Map<String, Value> = serde_json::from_str(USER).expect("user.json is an object");
    group.bench_function("evaluate", |bencher| {
        let matches = |filter: &&BoundFilter| filter.matches(black_box(&user));
        bencher.iter(|| bound.iter().filter(matches).count())
    });
    group.finish();
}

criterion_group!(benches, filters);
criterion_main!(benches);
