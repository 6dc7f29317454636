//! What a client of the gateway does: requests with or without its tokens, login, refresh, logout. An
//! [`Answer`] is read whole, so that a test can look at it as often as it likes.

use std::fmt::Write as _;
use std::net::SocketAddr;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A header's value; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The reason of a refusal: the last word of the problem's `type`.
    pub fn reason(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap_or("").to_owned();
        kind.strip_prefix("urn:portcullis:problem:").unwrap_or("").to_owned()
    }

    /// What a refusal tells the caller.
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or("").to_owned()
    }

    /// `401 token_expired: The access token has expired`.
    pub fn problem(&self) -> String {
        let mut text = format!("{} {}", self.status, self.reason());
        let _ = write!(text, ": {}", self.json()["title"].as_str().unwrap_or("?"));
        text
    }
}

/// Someone who talks to the gateway, signed in or not.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    access: Option<String>,
    refresh: Option<String>,
}

impl Client {
    /// A client without tokens of the gateway at `base`.
    ///
    /// # Panics
    /// If the system gives no sockets.
    pub fn anonymous(base: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Self { http: http.expect("a client needs nothing but memory"), base, access: None, refresh: None }
    }

    /// The same with this access token.
    #[must_use]
    pub fn with_access(&self, token: &str) -> Self {
        Self { access: Some(token.to_owned()), ..self.clone() }
    }

    /// The same without tokens.
    #[must_use]
    pub fn signed_out(&self) -> Self {
        Self { access: None, refresh: None, ..self.clone() }
    }

    /// Where its gateway listens.
    ///
    /// # Panics
    /// If it was given no URL of an address.
    pub fn address(&self) -> SocketAddr {
        self.base.trim_start_matches("http://").parse().expect("it was made for an address")
    }

    /// Its access token.
    ///
    /// # Panics
    /// If it is not signed in.
    pub fn access_token(&self) -> String {
        self.access.clone().expect("signed in")
    }

    /// Its refresh token.
    ///
    /// # Panics
    /// If it is not signed in.
    pub fn refresh_token(&self) -> String {
        self.refresh.clone().expect("signed in")
    }

    /// A request to be finished by [`Client::send`], with the access token if there is one.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.access {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("the gateway answers")
    }

    /// Sends a request; none if there is no whole answer.
    pub async fn try_send(&self, request: RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some(Answer { status, headers, body: response.text().await.ok()? })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Registers with the test password.
    pub async fn register(&self, name: &str) -> Answer {
        self.signed_out().post("/auth/register", &json!({ "username": name, "password": Self::PASSWORD })).await
    }

    /// The password of every user that tests register.
    pub const PASSWORD: &'static str = "correct horse battery";

    /// Tries to log in.
    pub async fn try_login(&self, name: &str, password: &str) -> Answer {
        self.signed_out().post("/auth/login", &json!({ "username": name, "password": password })).await
    }

    /// Keeps the tokens of an answer to login or refresh.
    ///
    /// # Panics
    /// If the answer has none.
    pub fn keep(&mut self, answer: &Answer) {
        let token = |name: &str| answer.json()[name].as_str().map(str::to_owned);
        self.access = token("access_token");
        self.refresh = token("refresh_token");
        assert!(self.access.is_some() && self.refresh.is_some(), "no tokens: {} {}", answer.status, answer.body);
    }

    /// Spends the refresh token and keeps what comes.
    pub async fn refresh(&mut self) -> Answer {
        let answer = self.refresh_with(&self.refresh_token()).await;
        if answer.status == 200 {
            self.keep(&answer);
        }
        answer
    }

    /// Spends a refresh token and keeps nothing.
    pub async fn refresh_with(&self, token: &str) -> Answer {
        self.signed_out().post("/auth/refresh", &json!({ "refresh_token": token })).await
    }

    /// Logs out.
    pub async fn logout(&self, scope: &str) -> Answer {
        self.send(self.request(Method::POST, &format!("/auth/logout?scope={scope}"))).await
    }
}
