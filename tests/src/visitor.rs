//! A browser as far as cookies go: it keeps what it is given, sends it back, and says where its requests come
//! from. What a real browser makes of it is tested in a real one; here every header is in the test's hands.

use std::collections::BTreeMap;

use http::header::{COOKIE, SET_COOKIE};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::{Answer, Client};

/// Someone with a cookie jar.
#[derive(Clone)]
pub struct Visitor {
    client: Client,
    /// The cookies it holds.
    pub jar: BTreeMap<String, String>,
}

impl Visitor {
    /// The cookie that holds the access token, as the harness names it.
    pub const ACCESS: &'static str = "portcullis-access";
    /// The cookie that holds the refresh token.
    pub const REFRESH: &'static str = "portcullis-refresh";

    /// Someone without cookies who visits what `client` talks to.
    pub fn new(client: &Client) -> Self {
        Self { client: client.signed_out(), jar: BTreeMap::new() }
    }

    /// The same cookies, shown to what another client talks to.
    #[must_use]
    pub fn at(&self, client: &Client) -> Self {
        Self { client: client.signed_out(), jar: self.jar.clone() }
    }

    /// The same without one cookie.
    #[must_use]
    pub fn without(&self, cookie: &str) -> Self {
        let mut other = self.clone();
        other.jar.remove(cookie);
        other
    }

    /// The value of a cookie.
    ///
    /// # Panics
    /// If there is none.
    pub fn cookie(&self, name: &str) -> String {
        self.jar.get(name).cloned().unwrap_or_else(|| panic!("no cookie {name} among {:?}", self.jar.keys()))
    }

    /// A request with the cookies and nothing else.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let pairs: Vec<String> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.request(method, path);
        if pairs.is_empty() { request } else { request.header(COOKIE, pairs.join("; ")) }
    }

    /// A request that a page of the gateway's own origin makes.
    pub fn own(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("sec-fetch-site", "same-origin")
    }

    /// Sends a request and keeps the cookies of the answer.
    pub async fn send(&mut self, request: RequestBuilder) -> Answer {
        let answer = self.client.send(request).await;
        self.keep(&answer);
        answer
    }

    /// Keeps the cookies of an answer, and forgets those whose time is over.
    pub fn keep(&mut self, answer: &Answer) {
        for line in answer.headers.get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok()) {
            let (name, rest) = line.split_once('=').unwrap_or((line, ""));
            match rest.split(';').next().unwrap_or("") {
                _ if line.ends_with("Max-Age=0") => drop(self.jar.remove(name)),
                value => drop(self.jar.insert(name.to_owned(), value.to_owned())),
            }
        }
    }

    /// GET, as a page of the gateway's own makes it.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(self.own(Method::GET, path)).await
    }

    /// POST without a body, as a page of the gateway's own makes it.
    pub async fn post(&mut self, path: &str) -> Answer {
        self.send(self.own(Method::POST, path)).await
    }

    /// Registers if need be, and logs in.
    ///
    /// # Panics
    /// If there are no cookies then.
    pub async fn login(&mut self, name: &str) -> Answer {
        self.client.register(name).await;
        let login = self.own(Method::POST, "/auth/login");
        let answer = self.send(login.json(&json!({ "username": name, "password": Client::PASSWORD }))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer
    }
}
