//! Passwords as they are stored: argon2id, with its parameters and a salt of its own in each hash. One call takes a core
//! for tens of milliseconds and 19 MiB, so use cases bound how many run at once.

use super::names::Password;
use super::precis;
use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};

/// KiB of memory.
const MEMORY: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
/// Lanes.
const LANES: u32 = 1;

/// Well-formed, with the parameters of every other hash, and that of no password known to anybody: what an unknown user's
/// password is checked against, so that the answer takes as long as for a known one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Bytes of a salt.
const SALT: usize = 16;
/// Blocks of 1 KiB that are asked for, though fewer are used: the allocator of the GNU C library gives what is larger than
/// 32 MiB pages of its own and hands them back, and keeps anything smaller in the arena of whichever thread asked.
const ASKED: usize = 33 * 1024;

/// The hash of `password`, as a PHC string.
///
/// # Panics
///
/// If the operating system has no random bytes to give.
pub fn hash(password: &Password) -> String {
    hash_of(password.as_str())
}

fn hash_of(password: &str) -> String {
    let params = Params::new(MEMORY, PASSES, LANES, None).expect("the parameters are within the algorithm's bounds");
    let mut salt = [0; SALT];
    aws_lc_rs::rand::fill(&mut salt).expect("the operating system gives random bytes");
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).expect("the parameters are numbers"),
        salt: Some(Salt::new(&salt).expect("a salt of 16 bytes is within bounds")),
        hash: Some(output(params, password.as_bytes(), &salt).expect("a password is far shorter than 4 GiB")),
    };
    hash.to_string()
}

/// What came of comparing a password with a hash.
#[derive(Clone, PartialEq, Eq)]
pub enum Verified {
    /// It is another.
    Wrong,
    /// It is the one.
    Right,
    /// It is the one, but hashed as it was sent and not as it is compared now: a hash to take the place of that one.
    Anew(String),
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Wrong => "Wrong",
            Self::Right => "Right",
            Self::Anew(_) => "Anew(…)",
        })
    }
}

/// Whether `password` is the one `hash` was made of; without a hash it is not, and takes as long to say so. It is compared
/// as it is prepared, and then as it was sent: hashes of before were made of that.
pub fn verify(password: &str, hash: Option<&str>) -> Verified {
    let prepared = precis::opaque(password);
    if let Some(prepared) = &prepared {
        if is_of(prepared, hash) {
            return Verified::Right;
        }
        if prepared == password {
            return Verified::Wrong;
        }
    }
    match (is_of(password, hash), prepared) {
        (false, _) => Verified::Wrong,
        (true, Some(prepared)) => Verified::Anew(hash_of(&prepared)),
        // it holds what no new password may hold, and stays what it is
        (true, None) => Verified::Right,
    }
}

fn is_of(password: &str, hash: Option<&str>) -> bool {
    let same = PasswordHash::new(hash.unwrap_or(NOBODY)).ok().is_some_and(|made| {
        let params = Params::try_from(&made).ok();
        let again = params.zip(made.salt).and_then(|(params, salt)| output(params, password.as_bytes(), &salt));
        // outputs are compared in constant time
        again.is_some() && again == made.hash
    });
    same && hash.is_some()
}

fn output(params: Params, password: &[u8], salt: &[u8]) -> Option<Output> {
    let mut blocks = Vec::with_capacity(ASKED.max(params.block_count()));
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
    fn a_password_is_known_again_and_another_is_not() {
        let made = hash(&Password::parse("correct horse").unwrap());
        assert_eq!(verify("correct horse", Some(&made)), Verified::Right);
        assert_eq!(verify("correct horsf", Some(&made)), Verified::Wrong);
        assert_eq!(verify("correct horse", Some("not a hash")), Verified::Wrong);
        assert_eq!(verify("correct horse", None), Verified::Wrong);
        assert_eq!(verify("correct\u{A0}horse", None), Verified::Wrong);
        assert_ne!(made, hash(&Password::parse("correct horse").unwrap()), "each has a salt of its own");
    }

    #[test]
    fn a_password_is_one_however_it_is_composed_and_a_hash_of_before_is_made_anew() {
        let (composed, decomposed) = ("Mot de pass\u{E9}", "Mot de passe\u{301}");
        let made = hash(&Password::parse(decomposed).unwrap());
        for typed in [composed, decomposed, "Mot\u{A0}de pass\u{E9}"] {
            assert_eq!(verify(typed, Some(&made)), Verified::Right, "{typed:?}");
        }
        let of_before = hash_of(decomposed);
        let Verified::Anew(anew) = verify(decomposed, Some(&of_before)) else { panic!("it is the one as it was sent") };
        assert_eq!(verify(composed, Some(&anew)), Verified::Right);
        assert_eq!(verify(composed, Some(&of_before)), Verified::Wrong);
        let forbidden = hash_of("eight\u{7}eight");
        assert_eq!(verify("eight\u{7}eight", Some(&forbidden)), Verified::Right);
        assert_eq!(verify("eight\u{8}eight", Some(&forbidden)), Verified::Wrong);
    }

    #[test]
    fn the_hash_of_nobody_costs_what_every_hash_costs() {
        let made = hash(&Password::parse("correct horse").unwrap());
        let cost = |text: &str| text.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cost(NOBODY), cost(&made));
        let parsed = PasswordHash::new(NOBODY).unwrap();
        let made = PasswordHash::new(&made).unwrap();
        assert_eq!(parsed.hash.map(|output| output.len()), made.hash.map(|output| output.len()));
        assert_eq!(parsed.salt.map(|salt| salt.len()), made.salt.map(|salt| salt.len()));
    }
}
