//! Keeps the `ClientRequestToken`s of transactions, so that a transaction that is sent again is not
//! made again.
//!
//! A token is kept for ten minutes. Tokens are found by name, and expire from a queue in the order
//! of their age, so a transaction costs the same however many tokens are kept.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a token is kept after its transaction was completed, as in DynamoDB.
const LIFETIME: Duration = Duration::from_secs(600);

/// The tokens of running transactions, and of those completed in the last ten minutes.
#[derive(Debug, Default)]
pub(super) struct RequestTokens(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    transactions: HashMap<Arc<str>, TransactionState>,
    /// The completed transactions with the time of their completion, the earliest first.
    completed: VecDeque<(Instant, Arc<str>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TransactionState {
    Running,
    Completed(ParametersHash),
}

/// A hash of what a transaction does. Requests that differ only in the order of the members of
/// objects have the same hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ParametersHash(u64);

/// What is known of a transaction by its token.
#[derive(Debug)]
pub(super) enum KnownTransaction<'t> {
    /// It has not been made, and the caller has to make it now.
    New(TokenClaim<'t>),
    /// Another call is making it.
    Running,
    /// It has been made.
    Completed,
    /// Another transaction has been made with this token.
    Different,
}

/// The right to make a transaction. If it is dropped without completion, the token is free again, so
/// a refused transaction can be sent again.
#[derive(Debug)]
pub(super) struct TokenClaim<'t> {
    tokens: &'t RequestTokens,
    token: Arc<str>,
    parameters: ParametersHash,
    is_completed: bool,
}

impl RequestTokens {
    /// Looks up a token, and claims it if it is new. `now` must never go back.
    pub(super) fn claim(
        &self,
        token: &str,
        parameters: ParametersHash,
        now: Instant,
    ) -> KnownTransaction<'_> {
        let mut remembered = self.lock();
        remembered.forget(now);
        match remembered.transactions.get(token) {
            Some(TransactionState::Running) => KnownTransaction::Running,
            Some(TransactionState::Completed(made)) if *made == parameters => {
                KnownTransaction::Completed
            }
            Some(TransactionState::Completed(_)) => KnownTransaction::Different,
            None => {
                let token: Arc<str> = token.into();
                let running = TransactionState::Running;
                remembered.transactions.insert(Arc::clone(&token), running);
                KnownTransaction::New(TokenClaim {
                    tokens: self,
                    token,
                    parameters,
                    is_completed: false,
                })
            }
        }
    }

    /// A poisoned lock can be used: every statement under it leaves the tokens complete.
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    /// Removes the tokens that are too old. Returns the number of entries of the queue that it has
    /// read, for a test.
    fn forget(&mut self, now: Instant) -> usize {
        let mut looked_at = 0;
        while let Some((completed, token)) = self.completed.front() {
            looked_at += 1;
            if now.saturating_duration_since(*completed) < LIFETIME {
                break;
            }
            self.transactions.remove(token);
            self.completed.pop_front();
        }
        looked_at
    }
}

impl TokenClaim<'_> {
    /// Records that the transaction was made, at `now`.
    pub(super) fn complete(mut self, now: Instant) {
        self.is_completed = true;
        let mut remembered = self.tokens.lock();
        let completed = TransactionState::Completed(self.parameters);
        remembered
            .transactions
            .insert(Arc::clone(&self.token), completed);
        remembered
            .completed
            .push_back((now, Arc::clone(&self.token)));
    }
}

impl Drop for TokenClaim<'_> {
    fn drop(&mut self) {
        if !self.is_completed {
            self.tokens.lock().transactions.remove(&self.token);
        }
    }
}

impl ParametersHash {
    /// The hash of a transaction's steps.
    pub(super) fn of(steps: &Value) -> Self {
        Self(hash(steps))
    }
}

/// A hash that does not depend on the order of an object's members.
fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(value).hash(&mut hasher);
    match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let mut hasher = DefaultHasher::new();
                (name, hash(value)).hash(&mut hasher);
                hasher.finish()
            };
            let sum = members.iter().map(member).fold(0, u64::wrapping_add);
            sum.hash(&mut hasher);
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| hash(element).hash(&mut hasher)),
        scalar => scalar.hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameters(text: &str) -> ParametersHash {
        ParametersHash::of(&serde_json::from_str(text).unwrap())
    }

    /// Makes a transaction that must be new.
    #[track_caller]
    fn make(tokens: &RequestTokens, token: &str, now: Instant) {
        match tokens.claim(token, parameters("1"), now) {
            KnownTransaction::New(claim) => claim.complete(now),
            known => panic!("{token} is {known:?}"),
        }
    }

    #[test]
    fn a_token_names_one_transaction() {
        let (tokens, now) = (RequestTokens::default(), Instant::now());
        let first = tokens.claim("a", parameters("1"), now);
        assert!(matches!(
            tokens.claim("a", parameters("1"), now),
            KnownTransaction::Running
        ));
        assert!(matches!(
            tokens.claim("b", parameters("1"), now),
            KnownTransaction::New(_)
        ));
        let KnownTransaction::New(first) = first else {
            panic!("{first:?}")
        };
        first.complete(now);
        let again = tokens.claim("a", parameters("1"), now);
        assert!(matches!(again, KnownTransaction::Completed), "{again:?}");
        let other = tokens.claim("a", parameters("2"), now);
        assert!(matches!(other, KnownTransaction::Different), "{other:?}");
    }

    #[test]
    fn a_transaction_that_was_refused_can_be_sent_again() {
        let (tokens, now) = (RequestTokens::default(), Instant::now());
        drop(tokens.claim("a", parameters("1"), now));
        make(&tokens, "a", now);
    }

    #[test]
    fn a_token_is_remembered_for_ten_minutes() {
        let (tokens, begin) = (RequestTokens::default(), Instant::now());
        make(&tokens, "a", begin);
        let soon = begin + LIFETIME - Duration::from_millis(1);
        assert!(matches!(
            tokens.claim("a", parameters("1"), soon),
            KnownTransaction::Completed
        ));
        make(&tokens, "a", begin + LIFETIME);
    }

    /// dynoxide itself would read every token of the last ten minutes at each transaction.
    #[test]
    fn a_transaction_looks_at_two_tokens_after_a_hundred_thousand() {
        let (tokens, begin) = (RequestTokens::default(), Instant::now());
        let mut most_looked_at = 0;
        for number in 0..100_000_u32 {
            let now = begin + Duration::from_millis(10) * number;
            most_looked_at = most_looked_at.max(tokens.lock().forget(now));
            make(&tokens, &number.to_string(), now);
        }
        assert_eq!(most_looked_at, 2);
        let remembered = tokens.lock();
        assert_eq!(remembered.completed.len(), 60_000, "those of ten minutes");
        assert_eq!(remembered.transactions.len(), 60_000);
    }

    #[test]
    fn parameters_do_not_depend_on_the_order_of_members() {
        fn check(one: &str, other: &str, equal: bool) {
            let are_equal = parameters(one) == parameters(other);
            assert_eq!(are_equal, equal, "{one} {other}");
        }
        check(
            r#"[{"a":1,"b":{"c":"d","e":[]}}]"#,
            r#"[{"b":{"e":[],"c":"d"},"a":1}]"#,
            true,
        );
        check("[1,2]", "[2,1]", false);
        check(r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#, false);
        check(r#"{"a":[]}"#, r#"{"a":{}}"#, false);
        check("[]", "null", false);
        assert_eq!(ParametersHash::of(&json!(null)), parameters("null"));
    }
}
