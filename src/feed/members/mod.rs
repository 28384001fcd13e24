//! Memberships: who is in which group, reported as it is and not as it came about.
