//! What every key in Redis is called. Keys that one script touches share one hash tag, so that a Cluster
//! keeps them in one place; a tag is the first text in braces. Everything else about a key (what it holds,
//! when it goes) stands in the script that writes it.

use std::fmt::Display;

use crate::ids::{Jti, LimitId, Partition, SessionId, Subject};
use crate::limit::Quota;
use crate::store::{KeyPurpose, Take};

/// Names keys under one prefix.
///
/// Three kinds of key never go away by themselves. A user's hash, which exists only once they logged out
/// everywhere or were disabled: if its epoch fell back to zero, the next "log out everywhere" would pass
/// tokens that were issued under a higher one. The blacklist, which loses what was over long ago whenever
/// something is added. And the stream of revocations, which is trimmed instead: a reader could not tell a
/// stream that began anew from one it has read to its end.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// What all keys of `partition` begin with.
    pub(super) fn base(&self, partition: Partition) -> String {
        format!("{}:{{{}}}", self.prefix, partition.number())
    }

    pub(super) fn user(&self, partition: Partition, subject: &Subject) -> String {
        self.within(partition, "user", subject)
    }

    pub(super) fn session(&self, sid: SessionId) -> String {
        self.within(sid.partition(), "session", sid)
    }

    pub(super) fn sessions(&self, partition: Partition, subject: &Subject) -> String {
        self.within(partition, "sessions", subject)
    }

    /// All that is revoked: see [`token`] and [`session`].
    pub(super) fn blacklist(&self, partition: Partition) -> String {
        format!("{}:blacklist", self.base(partition))
    }

    /// How long gateways accept tokens.
    pub(super) fn lives(&self, partition: Partition) -> String {
        format!("{}:lives", self.base(partition))
    }

    /// What was revoked, in order.
    pub(super) fn revocations(&self, partition: Partition) -> String {
        format!("{}:revocations", self.base(partition))
    }

    /// A limit by user: it is taken by the script that checks the user's token.
    pub(super) fn user_limit(&self, partition: Partition, take: &Take) -> String {
        self.user_limit_of(partition, &take.limit, &take.quota, &take.key)
    }

    pub(super) fn user_limit_of(&self, partition: Partition, limit: &LimitId, quota: &Quota, subject: &str) -> String {
        self.within(partition, "rate_limit", format_args!("{limit}:{quota}:{subject}"))
    }

    /// Any other limit: it has a place of its own.
    pub(super) fn limit(&self, take: &Take) -> String {
        self.limit_of(&take.limit, &take.quota, &take.key)
    }

    pub(super) fn limit_of(&self, limit: &LimitId, quota: &Quota, key: &str) -> String {
        format!("{}:rate_limit:{{{limit}:{quota}:{key}}}", self.prefix)
    }

    /// Failed logins.
    pub(super) fn login(&self, key: &str) -> String {
        format!("{}:login:{{{key}}}", self.prefix)
    }

    /// All keys for one purpose.
    pub(super) fn keys(&self, purpose: KeyPurpose) -> String {
        format!("{}:keys:{{{}}}", self.prefix, purpose.name())
    }

    fn within(&self, partition: Partition, kind: &str, name: impl Display) -> String {
        format!("{}:{{{}}}:{kind}:{name}", self.prefix, partition.number())
    }
}

/// A token's entry in the blacklist.
pub(super) fn token(jti: Jti) -> String {
    format!("token:{jti}")
}

/// A session's entry in the blacklist.
pub(super) fn session(sid: SessionId) -> String {
    format!("session:{sid}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::PartitionCount;

    /// What a Cluster hashes (Redis Cluster specification, hash tags).
    fn tag(key: &str) -> &str {
        let (_, rest) = key.split_once('{').unwrap();
        rest.split_once('}').unwrap().0
    }

    #[test]
    fn keys_that_one_script_touches_share_a_hash_tag_whatever_the_subject_is_called() {
        let keys = Keys::new("portcullis");
        for name in ["alice", "{x}", "}{", "a:b"] {
            let subject = Subject::parse(name).unwrap();
            let partition = Partition::of(&subject, PartitionCount::CLUSTER);
            let sid = SessionId::random(partition);
            let quota = Quota::new(1, Duration::from_secs(1), 1).unwrap();
            let take = Take { limit: LimitId::parse("api").unwrap(), key: name.to_owned(), quota };
            for key in [
                keys.user(partition, &subject),
                keys.session(sid),
                keys.sessions(partition, &subject),
                keys.blacklist(partition),
                keys.revocations(partition),
                keys.lives(partition),
                keys.user_limit(partition, &take),
                keys.base(partition),
            ] {
                assert_eq!(tag(&key), partition.number().to_string(), "{key}");
            }
        }
    }

    #[test]
    fn keys_are_called_as_operators_were_told() {
        let keys = Keys::new("portcullis");
        let subject = Subject::parse("alice").unwrap();
        let partition = Partition::of(&subject, PartitionCount::ONE);
        assert_eq!(keys.user(partition, &subject), "portcullis:{0}:user:alice");
        let quota = Quota::new(100, Duration::from_mins(1), 20).unwrap();
        let take = Take { limit: LimitId::parse("api").unwrap(), key: "alice".to_owned(), quota };
        assert_eq!(keys.user_limit(partition, &take), "portcullis:{0}:rate_limit:api:20x600000us:alice");
        assert_eq!(keys.limit(&take), "portcullis:rate_limit:{api:20x600000us:alice}");
        assert_eq!(keys.login("alice"), "portcullis:login:{alice}");
        assert_eq!(keys.keys(KeyPurpose::Signing), "portcullis:keys:{signing}");
    }
}
