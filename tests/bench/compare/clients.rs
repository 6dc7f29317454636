//! Who asks: programs that bring a token of their own, or none, and browsers whose access cookie has always expired. Each
//! knows what the answer has to be.

use std::sync::Arc;

use portcullis_tests::bench::lean::Message;
use portcullis_tests::bench::load::Client;
use portcullis_tests::bench::wire::{self, Connections};

use crate::Wrong;
use crate::bench::Bench;
use crate::cells::Work;
use crate::keys::{Keys, tampered};

/// Requests at once.
pub(crate) const CONNECTIONS: usize = 64;
/// Tokens where many are asked for.
const MANY: usize = 10_000;

/// A request, and the answer that it must have.
pub(crate) struct Question {
    pub(crate) request: Vec<u8>,
    pub(crate) status: &'static [u8],
    /// Whom the upstream must have seen.
    pub(crate) user: Vec<u8>,
    /// How long the answer must be, where that is known.
    pub(crate) length: Option<usize>,
}

/// Asks some of the questions in turn.
pub(crate) struct Program {
    questions: Arc<Vec<Question>>,
    at: usize,
    step: usize,
}

impl Program {
    /// So many as there are connections, who share the questions of this work among them.
    pub(crate) fn all(work: Work, keys: &Keys) -> Result<Vec<Self>, Wrong> {
        let questions = Arc::new(questions(work, keys)?);
        Ok((0..CONNECTIONS)
            .map(|at| Self { questions: Arc::clone(&questions), at: at % questions.len(), step: CONNECTIONS })
            .collect())
    }

    /// One who asks this.
    pub(crate) fn of(question: Question) -> Self {
        Self { questions: Arc::new(vec![question]), at: 0, step: 1 }
    }
}

impl Client for Program {
    fn request(&mut self) -> &[u8] {
        &self.questions[self.at].request
    }

    fn accept(&mut self, answer: &Message<'_>) -> Result<(), String> {
        let question = &self.questions[self.at];
        self.at = (self.at + self.step) % self.questions.len();
        let Question { status, user, length, .. } = question;
        let whole = length.is_none_or(|length| answer.length == length);
        if answer.status() == *status && answer.body.starts_with(user) && whole {
            return Ok(());
        }
        Err(format!(
            "{} was to be answered with {} and {:?}, and was with: {}",
            String::from_utf8_lossy(&question.request[..question.request.len().min(60)]).escape_debug(),
            String::from_utf8_lossy(status),
            String::from_utf8_lossy(user),
            answer.text().chars().take(400).collect::<String>(),
        ))
    }
}

/// A request with this token, if there is one, and a body of so many bytes.
pub(crate) fn request(path: &str, token: Option<&str>, more: &str, length: usize) -> Vec<u8> {
    let method = if length > 0 { "POST" } else { "GET" };
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let body = if length > 0 { format!("Content-Length: {length}\r\n") } else { String::new() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: gateway.test\r\nUser-Agent: bench\r\nAccept: */*\r\n{token}{more}{body}\r\n"
    );
    let mut request = head.into_bytes();
    request.resize(request.len() + length, b'.');
    request
}

fn questions(work: Work, keys: &Keys) -> Result<Vec<Question>, Wrong> {
    let path = work.path();
    let plain = |length| {
        vec![Question {
            request: request(path, None, "", length),
            status: b"200",
            user: Vec::new(),
            length: Some(length),
        }]
    };
    let (algorithm, count) = match (work.algorithm(), work) {
        (None, Work::Kib) => return Ok(plain(1024)),
        (None, Work::Mib) => return Ok(plain(1024 * 1024)),
        (None, _) => return Ok(plain(0)),
        (Some(algorithm), Work::Tokens | Work::BadTokens) => (algorithm, MANY),
        (Some(algorithm), _) => (algorithm, CONNECTIONS),
    };
    let question = |number| {
        let token = keys.token(algorithm, number)?;
        Ok(match work {
            Work::BadTokens => Question {
                request: request(path, Some(&tampered(&token)), "", 0),
                status: b"401",
                user: Vec::new(),
                length: None,
            },
            _ => Question {
                request: request(path, Some(&token), "", 0),
                status: b"200",
                user: Keys::user(number).into_bytes(),
                length: Some(Keys::user(number).len()),
            },
        })
    };
    (0..count).map(question).collect()
}

/// Somebody whose access cookie has expired at each request, and who keeps the refresh cookie that each answer brings.
pub(crate) struct Browser {
    user: String,
    access: String,
    request: Vec<u8>,
    refresh: String,
}

impl Browser {
    /// Signs so many in as there are connections.
    pub(crate) async fn all(connections: &Connections, bench: &Bench) -> Result<Vec<Self>, Wrong> {
        let mut browsers = Vec::with_capacity(CONNECTIONS);
        for number in 0..CONNECTIONS {
            let user = Keys::user(number);
            let body = format!("{{\"username\":\"{user}\",\"password\":\"x\"}}");
            let answer = connections.exchange(&wire::request("POST", "/auth/login", ("Cookie", ""), &body)).await?;
            let cookies = answer.cookies().ok_or_else(|| format!("a login was answered with {}", answer.head))?;
            let (access, refresh) = cookies.split_once("; ").ok_or("a login brought one cookie")?;
            let (name, token) = access.split_once('=').ok_or("a cookie has no value")?;
            let access = format!("{name}={}", bench.keys().expire(token)?);
            browsers.push(Self { user, access, request: Vec::new(), refresh: refresh.to_owned() });
        }
        Ok(browsers)
    }
}

impl Client for Browser {
    fn request(&mut self) -> &[u8] {
        let cookies = format!("Cookie: {}; {}\r\n", self.access, self.refresh);
        self.request = request(Work::Refresh.path(), None, &cookies, 0);
        &self.request
    }

    fn accept(&mut self, answer: &Message<'_>) -> Result<(), String> {
        let head = String::from_utf8_lossy(answer.head);
        let (name, _) = self.refresh.split_once('=').unwrap_or_default();
        let mut cookies = wire::values(&head, "set-cookie").filter_map(|line| line.split(';').next());
        let renewed = cookies.find(|pair| pair.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')));
        match renewed {
            Some(renewed) if answer.status() == b"200" && answer.body == self.user.as_bytes() => {
                renewed.clone_into(&mut self.refresh);
                Ok(())
            }
            _ => Err(format!("{} was not renewed: {}", self.user, answer.text())),
        }
    }
}
