//! Which resource a path names, and what may be done with it. A path is taken as it stands: the gateway has
//! made it canonical, and nothing here is percent-decoded. Does not say what happens at a resource.

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Users,
    Authenticate,
    Me,
    MyPassword,
    Exists(String),
    Posts,
    Post(String),
    Live,
    Ready,
    Metrics,
}

impl Route {
    /// The resource at `path`, if there is one.
    pub(crate) fn find(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let segments = [segments.next(), segments.next(), segments.next(), segments.next()];
        Some(match segments {
            [Some("users"), None, ..] => Self::Users,
            [Some("users"), Some("authenticate"), None, _] => Self::Authenticate,
            [Some("users"), Some("me"), None, _] => Self::Me,
            [Some("users"), Some("me"), Some("password"), None] => Self::MyPassword,
            [Some("users"), Some("exists"), Some(name), None] if !name.is_empty() => Self::Exists(name.to_owned()),
            [Some("posts"), None, ..] => Self::Posts,
            [Some("posts"), Some(id), None, _] if !id.is_empty() => Self::Post(id.to_owned()),
            [Some("livez"), None, ..] => Self::Live,
            [Some("readyz"), None, ..] => Self::Ready,
            [Some("metrics"), None, ..] => Self::Metrics,
            _ => return None,
        })
    }

    /// The route without what varies: a label of bounded number.
    pub(crate) fn pattern(&self) -> &'static str {
        match self {
            Self::Users => "/users",
            Self::Authenticate => "/users/authenticate",
            Self::Me => "/users/me",
            Self::MyPassword => "/users/me/password",
            Self::Exists(_) => "/users/exists/{name}",
            Self::Posts => "/posts",
            Self::Post(_) => "/posts/{id}",
            Self::Live => "/livez",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
        }
    }

    /// The methods it answers to, as the `Allow` header lists them.
    pub(crate) fn allow(&self) -> &'static str {
        match self {
            Self::Users | Self::Authenticate => "POST",
            Self::Me | Self::Post(_) => "GET, HEAD, PUT, DELETE",
            Self::MyPassword => "PUT",
            Self::Exists(_) | Self::Live | Self::Ready | Self::Metrics => "GET, HEAD",
            Self::Posts => "GET, HEAD, POST",
        }
    }

    /// Whether it is there for operators, who do not come through the gateway.
    pub(crate) fn is_for_operators(&self) -> bool {
        matches!(self, Self::Live | Self::Ready | Self::Metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_leads_back_to_its_route() {
        for path in ["/users", "/users/authenticate", "/users/me", "/users/me/password", "/posts", "/livez", "/readyz"]
        {
            assert_eq!(Route::find(path).map(|route| route.pattern()), Some(path));
        }
        assert_eq!(Route::find("/posts/7"), Some(Route::Post("7".to_owned())));
        assert_eq!(Route::find("/users/exists/bob"), Some(Route::Exists("bob".to_owned())));
    }

    #[test]
    fn a_path_that_is_only_similar_names_nothing() {
        for path in [
            "",
            "/",
            "posts",
            "/posts/",
            "//posts",
            "/posts/7/",
            "/posts/7/x",
            "/Posts",
            "/users/",
            "/users/7",
            "/users/exists/",
            "/users/exists/a/b",
        ] {
            assert_eq!(Route::find(path), None, "{path:?}");
        }
    }
}
