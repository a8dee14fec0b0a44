//! Hashes passwords with argon2id and verifies them.
//!
//! Each hash contains its parameters and a random salt. One call uses a core for tens of milliseconds and 19 MiB of
//! memory, so use cases limit how many calls run at the same time.

use super::names::Password;
use super::precis;
use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};

const MEMORY_KIB: u32 = 19 * 1024;
/// How often argon2 passes over its memory.
const PASSES: u32 = 2;
/// The degree of parallelism of argon2.
const LANES: u32 = 1;

/// A well-formed hash of no known password, with the parameters of all other hashes. The password of an unknown user is
/// compared with it, so that the answer takes as long as for a known user.
const UNKNOWN_USER_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const SALT_BYTES: usize = 16;
/// The number of allocated blocks of 1 KiB, of which fewer are used. The allocator of the GNU C library returns an
/// allocation of more than 32 MiB to the operating system, but keeps a smaller one in the arena of the calling thread.
const ALLOCATED_BLOCKS: usize = 33 * 1024;

/// Returns the hash of `password` as a PHC string.
///
/// # Panics
///
/// If the operating system provides no random bytes.
pub fn hash(password: &Password) -> String {
    hash_of(password.as_str())
}

fn hash_of(password: &str) -> String {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within the algorithm's bounds");
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).expect("the operating system provides random bytes");
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).expect("the parameters are numbers"),
        salt: Some(Salt::new(&salt).expect("a salt of 16 bytes is within bounds")),
        hash: Some(compute_output(params, password.as_bytes(), &salt).expect("a password is far shorter than 4 GiB")),
    };
    hash.to_string()
}

/// The result of comparing a password with a hash.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordMatch {
    Wrong,
    Correct,
    /// The password is correct, but the hash is of the password as it was sent, not as prepared by [`precis`]. Contains
    /// the hash that must replace the old one.
    CorrectWithNewHash(String),
}

impl std::fmt::Debug for PasswordMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Wrong => "Wrong",
            Self::Correct => "Correct",
            Self::CorrectWithNewHash(_) => "CorrectWithNewHash(…)",
        })
    }
}

/// Compares `password` with `hash`. Without a hash the result is [`PasswordMatch::Wrong`] after the same time. The
/// function compares the prepared password first and then the password as it was sent, because older hashes are of the
/// latter.
pub fn verify(password: &str, hash: Option<&str>) -> PasswordMatch {
    let prepared = precis::prepare_password(password);
    if let Some(prepared) = &prepared {
        if matches_hash(prepared, hash) {
            return PasswordMatch::Correct;
        }
        if prepared == password {
            return PasswordMatch::Wrong;
        }
    }
    match (matches_hash(password, hash), prepared) {
        (false, _) => PasswordMatch::Wrong,
        (true, Some(prepared)) => PasswordMatch::CorrectWithNewHash(hash_of(&prepared)),
        // It contains characters that a new password may not contain, so it cannot be prepared. It stays valid.
        (true, None) => PasswordMatch::Correct,
    }
}

fn matches_hash(password: &str, hash: Option<&str>) -> bool {
    let same = PasswordHash::new(hash.unwrap_or(UNKNOWN_USER_HASH)).ok().is_some_and(|stored| {
        let params = Params::try_from(&stored).ok();
        let computed =
            params.zip(stored.salt).and_then(|(params, salt)| compute_output(params, password.as_bytes(), &salt));
        // Outputs are compared in constant time.
        computed.is_some() && computed == stored.hash
    });
    same && hash.is_some()
}

fn compute_output(params: Params, password: &[u8], salt: &[u8]) -> Option<Output> {
    let mut blocks = Vec::with_capacity(ALLOCATED_BLOCKS.max(params.block_count()));
    blocks.resize(params.block_count(), Block::default());
    let mut bytes = [0; Params::DEFAULT_OUTPUT_LEN];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into_with_memory(password, salt, &mut bytes, &mut blocks).ok()?;
    Output::new(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_password_matches_and_another_does_not() {
        let stored = hash(&Password::parse("correct horse").unwrap());
        assert_eq!(verify("correct horse", Some(&stored)), PasswordMatch::Correct);
        assert_eq!(verify("correct horsf", Some(&stored)), PasswordMatch::Wrong);
        assert_eq!(verify("correct horse", Some("not a hash")), PasswordMatch::Wrong);
        assert_eq!(verify("correct horse", None), PasswordMatch::Wrong);
        assert_eq!(verify("correct\u{A0}horse", None), PasswordMatch::Wrong);
        assert_ne!(stored, hash(&Password::parse("correct horse").unwrap()), "each hash has another salt");
    }

    #[test]
    fn every_composition_of_a_password_matches_and_an_older_hash_is_replaced() {
        let (composed, decomposed) = ("Mot de pass\u{E9}", "Mot de passe\u{301}");
        let stored = hash(&Password::parse(decomposed).unwrap());
        for typed in [composed, decomposed, "Mot\u{A0}de pass\u{E9}"] {
            assert_eq!(verify(typed, Some(&stored)), PasswordMatch::Correct, "{typed:?}");
        }
        let older_hash = hash_of(decomposed);
        let PasswordMatch::CorrectWithNewHash(new_hash) = verify(decomposed, Some(&older_hash)) else {
            panic!("the older hash is of the password as it was sent")
        };
        assert_eq!(verify(composed, Some(&new_hash)), PasswordMatch::Correct);
        assert_eq!(verify(composed, Some(&older_hash)), PasswordMatch::Wrong);
        let forbidden = hash_of("eight\u{7}eight");
        assert_eq!(verify("eight\u{7}eight", Some(&forbidden)), PasswordMatch::Correct);
        assert_eq!(verify("eight\u{8}eight", Some(&forbidden)), PasswordMatch::Wrong);
    }

    #[test]
    fn the_hash_for_unknown_users_costs_as_much_as_every_hash() {
        let stored = hash(&Password::parse("correct horse").unwrap());
        let cost = |text: &str| text.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cost(UNKNOWN_USER_HASH), cost(&stored));
        let unknown = PasswordHash::new(UNKNOWN_USER_HASH).unwrap();
        let stored = PasswordHash::new(&stored).unwrap();
        assert_eq!(unknown.hash.map(|output| output.len()), stored.hash.map(|output| output.len()));
        assert_eq!(unknown.salt.map(|salt| salt.len()), stored.salt.map(|salt| salt.len()));
    }
}
