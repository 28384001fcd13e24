//! The event of a resource's record.
