//! Random bytes for secrets.

use ring::rand::{SecureRandom, SystemRandom};

use crate::protocol::error::{Error, Result};

/// `N` bytes from the operating system's generator.
pub(super) fn random_bytes<const N: usize>(random: &SystemRandom) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    random
        .fill(&mut bytes)
        .map_err(|_| Error::internal("the random number generator failed"))?;
    Ok(bytes)
}
