//! The body of a request to one of our own endpoints: a flat set of fields, as JSON or as a form.
//! What is sent twice is refused in a form as it is in our reading of JSON, where the last would win
//! unseen. What the fields mean is for the endpoints.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::problem::Denied;

/// The fields of a body.
#[derive(Debug, Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body by its media type; no body is no fields.
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Denied> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        match media_type(headers).as_str() {
            "application/json" => serde_json::from_slice(body)
                .map_err(|_| Denied::BadBody("It is not a JSON object whose fields each stand there once.")),
            "application/x-www-form-urlencoded" => form(body),
            _ => Err(Denied::UnsupportedMediaType),
        }
    }

    /// A field of text, if it is there and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// These of its fields, as far as they are there.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        let wanted = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        Self(wanted.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// All fields as a JSON object.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("what was read as JSON can be written as JSON")
    }

    /// All fields of text, numbers and truth as a form.
    pub fn to_form(&self) -> Vec<u8> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            match value {
                Value::String(text) => form.append_pair(name, text),
                Value::Number(_) | Value::Bool(_) => form.append_pair(name, &value.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => continue,
            };
        }
        form.finish().into_bytes()
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

fn form(body: &[u8]) -> Result<Fields, Denied> {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(body) {
        if fields.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
            return Err(Denied::BadBody("A field stands there twice."));
        }
    }
    Ok(Fields(fields))
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object whose fields each stand there once")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a field stands there twice"));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(media_type: &str, body: &str) -> Result<Fields, Denied> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, media_type.parse().unwrap())]);
        Fields::read(&headers, body.as_bytes())
    }

    #[test]
    fn json_and_forms_read_alike() {
        for (media_type, body) in [
            ("application/json; charset=utf-8", r#"{"n":1,"username":"a b"}"#),
            ("Application/X-www-form-urlencoded", "n=1&username=a+b"),
        ] {
            let fields = read(media_type, body).unwrap();
            assert_eq!(fields.text("username"), Some("a b"));
            assert_eq!(fields.to_form(), b"n=1&username=a+b");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (media_type, body, reason) in [
            ("application/json", r#"{"a":1,"a":2}"#, "bad_body"),
            ("application/json", "[]", "bad_body"),
            ("application/json", "{", "bad_body"),
            ("application/x-www-form-urlencoded", "a=1&a=2", "bad_body"),
            ("text/plain", "a=1", "unsupported_media_type"),
        ] {
            assert_eq!(read(media_type, body).unwrap_err().reason(), reason, "{body}");
        }
        assert!(read("text/plain", "").unwrap().text("a").is_none());
    }
}
