//! Argon2: makes hashes with today's parameters and checks those of any. Parameters of a stored hash are
//! someone else's word, so they are bounded before a block is filled. Keeps its memory between hashes, since
//! mapping 19 MiB anew for each would cost more than it saves.

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::rand;
use prometheus::IntCounter;

use super::{HashingError, StoredHash};
use crate::password::Password;

/// The most that a stored hash may ask for: memory in KiB, passes, lanes.
const MOST: (u32, u32, u32) = (64 * 1024, 5, 4);

/// Today's parameters, as OWASP's Password Storage Cheat Sheet has them: 19 MiB, 2 passes, 1 lane.
const TODAY: Params = Params::DEFAULT;

/// Argon2 with memory of its own.
pub(super) struct Argon {
    memory: Vec<Block>,
    /// How many hashes were computed.
    pub(super) computed: IntCounter,
}

/// A stored Argon2 hash that is fit to be checked.
pub(super) struct ArgonHash {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    output: Output,
}

impl ArgonHash {
    /// Reads a PHC string; `None` if it is not Argon2, or asks for too much.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let (memory, passes, lanes) = MOST;
        let bounded = params.m_cost() <= memory && params.t_cost() <= passes && params.p_cost() <= lanes;
        Some(Self {
            algorithm: Algorithm::try_from(hash.algorithm.as_str()).ok()?,
            // Hashes from before version 0x13 do not tell theirs.
            version: hash.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?,
            params: bounded.then_some(params)?,
            salt: hash.salt?,
            output: hash.hash?,
        })
    }

    /// Whether we would make it so today.
    pub(super) fn is_todays(&self) -> bool {
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        self.algorithm == Algorithm::Argon2id && self.version == Version::V0x13 && costs(&self.params) == costs(&TODAY)
    }

    fn to_phc(&self) -> PasswordHash {
        let Self { algorithm, version, params, salt, output } = self;
        PasswordHash {
            algorithm: algorithm.ident(),
            version: Some((*version).into()),
            params: params.try_into().expect("Argon2 parameters are numbers"),
            salt: Some(*salt),
            hash: Some(*output),
        }
    }
}

impl Argon {
    pub(super) fn new(computed: IntCounter) -> Self {
        Self { memory: vec![Block::default(); TODAY.block_count()], computed }
    }

    /// Hashes a password with today's parameters and a new salt.
    pub(super) fn hash(&mut self, password: &Password) -> Result<StoredHash, HashingError> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(|_| HashingError::Failed)?;
        let mut hash = ArgonHash {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            params: TODAY,
            salt: Salt::new(&salt).expect("16 bytes are a salt"),
            output: Output::new(&[0; Params::DEFAULT_OUTPUT_LEN]).expect("32 bytes are an output"),
        };
        hash.output = self.digest(password, &hash)?;
        Ok(StoredHash(hash.to_phc().to_string()))
    }

    /// Whether this is the password that was hashed; takes the same time if it is not.
    pub(super) fn check(&mut self, password: &Password, stored: &ArgonHash) -> Result<bool, HashingError> {
        // `Output` compares in constant time.
        Ok(self.digest(password, stored)? == stored.output)
    }

    fn digest(&mut self, password: &Password, like: &ArgonHash) -> Result<Output, HashingError> {
        let argon = Argon2::new(like.algorithm, like.version, like.params.clone());
        let blocks = like.params.block_count();
        self.memory.resize(blocks.max(TODAY.block_count()), Block::default());
        let mut output = [0; Output::MAX_LENGTH];
        let output = &mut output[..like.output.len()];
        self.computed.inc();
        let hashed =
            argon.hash_password_into_with_memory(password.expose(), &like.salt, output, &mut self.memory[..blocks]);
        self.memory.truncate(TODAY.block_count());
        self.memory.shrink_to_fit();
        hashed.ok().and_then(|()| Output::new(output).ok()).ok_or(HashingError::Failed)
    }
}
