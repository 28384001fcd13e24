//! Passwords: checked and discarded, or stored as argon2id hashes (RFC 7643 §4.1.1, §9.2).
//!
//! A hash takes tens of milliseconds of processor time and 19 MiB of memory, by design of argon2id.
//! So hashes are jobs of the pool, and their memory is kept and used again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::compute::Compute;
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Passwords;
use crate::protocol::resource::{Password, PasswordChange};

/// The most that a hash which was made elsewhere may cost: its memory, which is that of a block of the buffers, its
/// passes and its lanes.
const MAX_IMPORTED_KIB: u32 = 65_536;
const MAX_IMPORTED_PASSES: u32 = 10;
const MAX_IMPORTED_LANES: u32 = 16;

/// Makes hashes, in buffers that are kept from one hash to the next.
///
/// There are never more buffers than hashes that ran at the same time, and the pool bounds those. If
/// each hash allocated its memory, the process could grow: glibc keeps a large aligned block that
/// was freed in the arena of the thread that freed it, and does not return it to the system.
#[derive(Default)]
pub(super) struct Hasher {
    idle: Mutex<Vec<Vec<Block>>>,
    /// The number of buffers in existence, idle or in use.
    made: AtomicUsize,
}

impl Hasher {
    /// The hash that a resource has after a request, given the hash that it had before.
    ///
    /// # Errors
    /// `Unavailable` if the request's deadline passed before a password could be hashed.
    pub(super) async fn after(
        &self,
        compute: &Compute,
        passwords: Passwords,
        change: Option<&PasswordChange>,
        current: Option<&str>,
    ) -> Result<Option<String>> {
        match (change, passwords) {
            (None, _) | (Some(PasswordChange::Set(_)), Passwords::Discard) => {
                Ok(current.map(str::to_owned))
            }
            (Some(PasswordChange::Clear), _) => Ok(None),
            (Some(PasswordChange::Set(password)), Passwords::Hash) => {
                let hash = || self.kept_or_hashed(password, current);
                let hash = compute.run_in_pool(hash).await?;
                hash.map(Some)
            }
        }
    }

    /// The number of buffers that exist, idle or in use.
    pub(super) fn buffers(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// The current hash if it is that of the same password, so that setting a password again changes
    /// nothing; a new hash otherwise.
    fn kept_or_hashed(&self, password: &Password, current: Option<&str>) -> Result<String> {
        let mut buffer = self.take();
        let hash = kept_or_hashed(password.as_str().as_bytes(), current, &mut buffer);
        self.idle().push(buffer);
        hash.map_err(|error| Error::internal(error.to_string()))
    }

    fn take(&self) -> Vec<Block> {
        let idle = self.idle().pop();
        idle.unwrap_or_else(|| {
            self.made.fetch_add(1, Ordering::Relaxed);
            Vec::new()
        })
    }

    /// The idle buffers. A panic of another thread does not matter, because a push or a pop leaves
    /// the list whole.
    fn idle(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks that a text is a hash that this service can compare with a password, and that doing so costs no more than a
/// few of its own hashes.
///
/// # Errors
/// `InvalidValue` naming what is allowed.
pub(super) fn check_hash(text: &str) -> Result<()> {
    let is_usable = || {
        let hash = PasswordHash::new(text).ok()?;
        Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        hash.version.map(Version::try_from).transpose().ok()?;
        let params = Params::try_from(&hash).ok()?;
        let fits = params.m_cost() <= MAX_IMPORTED_KIB
            && params.t_cost() <= MAX_IMPORTED_PASSES
            && params.p_cost() <= MAX_IMPORTED_LANES;
        (fits && hash.salt.is_some() && hash.hash.is_some()).then_some(())
    };
    is_usable().ok_or_else(|| {
        Error::invalid_value(format!(
            "`passwordHash` is no argon2 hash with a memory of up to {MAX_IMPORTED_KIB} KiB, up to \
             {MAX_IMPORTED_PASSES} passes and up to {MAX_IMPORTED_LANES} lanes"
        ))
    })
}

fn kept_or_hashed(
    password: &[u8],
    current: Option<&str>,
    buffer: &mut Vec<Block>,
) -> argon2::password_hash::Result<String> {
    if let Some(current) = current
        && is_of(password, &PasswordHash::new(current)?, buffer)?
    {
        return Ok(current.to_owned());
    }
    let (argon2, salt) = (Argon2::default(), Salt::generate());
    let hash = PasswordHash {
        algorithm: Algorithm::default().ident(),
        version: Some(Version::default().into()),
        params: ParamsString::try_from(argon2.params())?,
        salt: Some(salt),
        hash: Some(digest(&argon2, password, &salt, buffer)?),
    };
    Ok(hash.to_string())
}

/// Whether a stored hash is that of this password. Hashes are compared in constant time.
fn is_of(
    password: &[u8],
    stored: &PasswordHash,
    buffer: &mut Vec<Block>,
) -> argon2::password_hash::Result<bool> {
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
        return Ok(false);
    };
    let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
    let version = stored.version.map(Version::try_from).transpose()?;
    let params = Params::try_from(stored)?;
    let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
    Ok(digest(&argon2, password, salt, buffer)? == *expected)
}

/// Runs argon2 once, in this buffer, which grows to the size that the parameters need.
fn digest(
    argon2: &Argon2<'_>,
    password: &[u8],
    salt: &[u8],
    buffer: &mut Vec<Block>,
) -> argon2::password_hash::Result<Output> {
    let params = argon2.params();
    let blocks = params.block_count();
    if buffer.len() < blocks {
        buffer.resize(blocks, Block::new());
    }
    let mut output = [0; Output::MAX_LENGTH];
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let output = output
        .get_mut(..length)
        .ok_or(argon2::password_hash::Error::OutputSize)?;
    let memory = buffer.get_mut(..blocks).unwrap_or_default();
    argon2.hash_password_into_with_memory(password, salt, output, memory)?;
    Ok(Output::new(output)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;
    use crate::identity::TenantId;
    use crate::pool::Pool;

    fn password(text: &str) -> Password {
        Password::prepare(text).unwrap()
    }

    #[test]
    fn a_hash_is_one_that_argon2_itself_makes_and_verifies() {
        let hasher = Hasher::default();
        let hash = hasher.kept_or_hashed(&password("tr0ub4dor"), None).unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let parsed = PasswordHash::new(&hash).unwrap();
        let (argon2, salt) = (Argon2::default(), parsed.salt.unwrap());
        assert!(argon2.verify_password(b"tr0ub4dor", &parsed).is_ok());
        let expected = argon2.hash_password_with_salt(b"tr0ub4dor", &salt).unwrap();
        assert_eq!(hash, expected.to_string());
    }

    #[test]
    fn a_hash_of_the_same_password_is_kept_whatever_its_parameters_are() {
        let hasher = Hasher::default();
        let small = Argon2::from(Params::new(64, 1, 1, Some(16)).unwrap());
        for argon2 in [Argon2::default(), small] {
            let old = argon2.hash_password_with_salt(b"same", &Salt::generate());
            let old = old.unwrap().to_string();
            let same = hasher
                .kept_or_hashed(&password("same"), Some(&old))
                .unwrap();
            assert_eq!(same, old);
            let other = hasher
                .kept_or_hashed(&password("other"), Some(&old))
                .unwrap();
            assert_ne!(other, old);
        }
        assert_eq!(hasher.buffers(), 1);
    }

    #[test]
    fn only_hashes_that_can_be_compared_at_a_bounded_cost_are_taken() {
        let own = Hasher::default()
            .kept_or_hashed(&password("x"), None)
            .unwrap();
        check_hash(&own).unwrap();
        let costly = own.replace("m=19456", "m=65537");
        let slow = own.replace("t=2", "t=11");
        let wide = own.replace("p=1", "p=17");
        let other = own.replace("$argon2id$", "$scrypt$");
        let (bare, _) = own.rsplit_once('$').unwrap();
        for text in ["", "x", "$2b$12$abc", &costly, &slow, &wide, &other, bare] {
            assert!(check_hash(text).is_err(), "{text}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn there_are_no_more_buffers_than_threads_of_the_pool() {
        let (hasher, pool) = (Arc::new(Hasher::default()), Pool::new(2));
        let deadline = Instant::now() + Duration::from_secs(600);
        let hashes = (0..16).map(|number| {
            let (hasher, pool) = (Arc::clone(&hasher), pool.clone());
            tokio::spawn(async move {
                let tenant = TenantId::parse(&format!("tenant-{number}")).unwrap();
                let hash = || hasher.kept_or_hashed(&password("x"), None).unwrap();
                pool.run(&tenant, deadline, hash).await.unwrap()
            })
        });
        join_all(hashes).await;
        assert!((1..=2).contains(&hasher.buffers()), "{}", hasher.buffers());
        assert_eq!(hasher.idle().len(), hasher.buffers());
    }
}
