//! Who may pass. A [`Policy`] looks at a [`Caller`] and grants a [`Permit`] or says exactly why not.
//! Only this file can make a `Permit`, and nothing is forwarded or served without one.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{Jti, Role, Scope, SessionId, Subject};
use crate::problem::Denied;
use crate::routing::Route;

/// What the login upstream lets a user do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Roles, for policies and `X-User-Roles`.
    pub roles: BTreeSet<Role>,
    /// Scopes (RFC 6749 §3.3).
    pub scopes: BTreeSet<Scope>,
}

/// A user whose access token was verified and still stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The user.
    pub subject: Subject,
    /// The session.
    pub sid: SessionId,
    /// The token.
    pub jti: Jti,
    /// The user's epoch when the token was issued.
    pub epoch: u64,
    /// What they may do.
    pub grants: Grants,
    /// When the user logged in; of a token that does not say, when it was issued.
    pub authenticated_at: Timestamp,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody we know: no credential was sent, or the route ignores them.
    Anonymous,
    /// A verified user.
    Known(Arc<Known>),
}

impl Caller {
    /// The user, if known.
    pub fn known(&self) -> Option<&Known> {
        match self {
            Self::Anonymous => None,
            Self::Known(known) => Some(known),
        }
    }
}

/// Who may pass a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Everybody; a credential is not even looked at.
    Public,
    /// Everybody; a credential that is sent must be good, and names the caller.
    Optional,
    /// Every known user.
    Authenticated,
    /// Known users who have one of these roles.
    AnyRole(BTreeSet<Role>),
    /// Known users who have all of these scopes.
    AllScopes(BTreeSet<Scope>),
}

/// Passage through one route for one caller. Holding one means that every check was made.
#[derive(Clone, Debug)]
pub struct Permit {
    route: Arc<Route>,
    caller: Caller,
}

impl Permit {
    /// The route that was found.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Who was let through.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Policy {
    /// Whether this policy looks at credentials at all.
    pub fn reads_credentials(&self) -> bool {
        !matches!(self, Self::Public)
    }

    /// Whether it lets nobody anonymous through.
    pub fn needs_credentials(&self) -> bool {
        !matches!(self, Self::Public | Self::Optional)
    }

    /// Grants passage through `route`, or says exactly why not.
    pub fn permit(route: &Arc<Route>, caller: Caller) -> Result<Permit, Denied> {
        match (&route.policy, caller.known()) {
            (Policy::Public | Policy::Optional, _) | (Policy::Authenticated, Some(_)) => {}
            (Policy::AnyRole(needed), Some(known)) if !needed.is_disjoint(&known.grants.roles) => {}
            (Policy::AllScopes(needed), Some(known)) if needed.is_subset(&known.grants.scopes) => {}
            (Policy::AnyRole(_), Some(_)) => return Err(Denied::MissingRole),
            (Policy::AllScopes(needed), Some(_)) => return Err(Denied::MissingScope { needed: needed.clone() }),
            (Policy::Authenticated | Policy::AnyRole(_) | Policy::AllScopes(_), None) => {
                return Err(Denied::NoCredential);
            }
        }
        Ok(Permit { route: Arc::clone(route), caller })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Partition, PartitionCount};
    use crate::routing::{Endpoint, HostPattern, Methods, PathPattern, Target, Unauthenticated, WithoutStore};

    fn outcome(policy: &Policy, caller: &Caller) -> &'static str {
        let route = Arc::new(Route {
            id: crate::ids::RouteId::parse("r").unwrap(),
            host: HostPattern::Any,
            path: PathPattern::parse("/").unwrap(),
            methods: Methods::Any,
            policy: policy.clone(),
            target: Target::Endpoint(Endpoint::Me),
            accept: std::collections::BTreeSet::new(),
            reveal_software: false,
            limits: Vec::new(),
            cors: None,
            forward_token: false,
            cookies: false,
            unauthenticated: Unauthenticated::Refuse,
            without_store: WithoutStore::Refuse,
            read_timeout: None,
            max_body: None,
            revokes: None,
        });
        Policy::permit(&route, caller.clone()).map_or_else(|denied| denied.reason(), |_| "passes")
    }

    fn known(roles: &[&str], scopes: &[&str]) -> Caller {
        let subject = Subject::parse("alice").unwrap();
        let now = Timestamp::from_secs(1);
        Caller::Known(Arc::new(Known {
            sid: SessionId::random(Partition::of(&subject, PartitionCount::ONE)),
            jti: Jti::random(),
            epoch: 0,
            grants: Grants {
                roles: roles.iter().map(|role| Role::parse(role).unwrap()).collect(),
                scopes: scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect(),
            },
            authenticated_at: now,
            issued_at: now,
            expires_at: now,
            subject,
        }))
    }

    #[test]
    fn a_policy_grants_a_permit_to_those_it_names_and_to_nobody_else() {
        let roles = Policy::AnyRole(["a", "b"].map(|role| Role::parse(role).unwrap()).into());
        let scopes = Policy::AllScopes(["x", "y"].map(|scope| Scope::parse(scope).unwrap()).into());
        for (name, policy, nobody, user, some, all) in [
            ("public", Policy::Public, "passes", "passes", "passes", "passes"),
            ("optional", Policy::Optional, "passes", "passes", "passes", "passes"),
            ("authenticated", Policy::Authenticated, "no_credential", "passes", "passes", "passes"),
            ("one role is enough", roles, "no_credential", "missing_role", "passes", "passes"),
            ("every scope is needed", scopes, "no_credential", "missing_scope", "missing_scope", "passes"),
        ] {
            assert_eq!(outcome(&policy, &Caller::Anonymous), nobody, "{name}");
            assert_eq!(outcome(&policy, &known(&[], &[])), user, "{name}");
            assert_eq!(outcome(&policy, &known(&["b"], &["y"])), some, "{name}");
            assert_eq!(outcome(&policy, &known(&["a", "b"], &["x", "y"])), all, "{name}");
        }
    }
}
