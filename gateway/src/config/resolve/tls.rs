//! How a listener speaks: `tls`, `h2c` and `redirect_to` of `[listeners.NAME]`, of which one excludes the others. A
//! certificate that no client could be shown is a mistake here, and never one of a running gateway.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use zeroize::Zeroizing;

use crate::certificates::{Certificate, Certificates, UnknownName};
use crate::config::hints::quoted;
use crate::config::reader::{Read, Spot, Table, Value};
use crate::config::tls::{CertificateSource, CertificateTerms, KeySource, TlsTerms, Transport, read_file};
use crate::config::{secrets, values};
use crate::secret::Secret;

const HTTPS_PORT: u16 = 443;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Long enough to count (RFC 6797 §11.2), short enough to be mended.
const HSTS: &str = "max-age=15552000";
/// What browsers demand before they put a host on the list that they come with: <https://hstspreload.org>.
const LEAST_PRELOAD: Duration = Duration::from_hours(365 * 24);
const CERTIFICATES: &str = r#"write certificates = [{ chain = "cert.pem", key = { file = "key.pem" } }]"#;

/// Reads how a listener speaks.
pub(super) fn transport(table: &mut Table<'_>) -> Read<Transport> {
    let h2c = table.or("h2c", Value::flag, false);
    let tls = table.optional("tls", terms);
    let redirect = table.optional("redirect_to", |value| value.choose("choice", &[("https", ())]));
    let port = table.optional("https_port", |value| value.number(1..=u32::from(u16::MAX)));
    match (tls?, redirect?, h2c?, port?) {
        (None, None, h2c, None) => Ok(Transport::Plain { h2c }),
        (Some(terms), None, false, None) => Ok(Transport::Tls(Arc::new(terms))),
        (None, Some(()), false, port) => {
            let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(HTTPS_PORT);
            Ok(Transport::ToHttps { port })
        }
        (Some(_), Some(()), ..) => {
            Err(table.refuse("a listener speaks TLS or sends clients there; write two listeners"))
        }
        (Some(_), None, true, _) => {
            Err(table.refuse("h2c is HTTP/2 without TLS; leave it out, TLS offers HTTP/2 by itself"))
        }
        (None, Some(()), true, _) => Err(table.refuse("who is sent elsewhere needs no HTTP/2; leave h2c out")),
        (_, None, _, Some(_)) => Err(table.refuse("https_port is where redirect_to = \"https\" sends; leave it out")),
    }
}

fn terms(value: &Value<'_>) -> Read<TlsTerms> {
    value.table(|table| {
        let certificates = table.required("certificates", certificates, CERTIFICATES);
        let unknown = [("refuse", UnknownName::Refuse), ("first", UnknownName::First)];
        let unknown_name = table.or("unknown_name", |value| value.choose("choice", &unknown), UnknownName::Refuse);
        let versions = [("1.2", true), ("1.3", false)];
        let tls12 = table.or("min_version", |value| value.choose("version", &versions), true);
        let http2 = table.or("http2", Value::flag, true);
        let handshake_timeout = table.or("handshake_timeout", values::duration, HANDSHAKE_TIMEOUT);
        let check_interval = table.or("check_interval", values::duration, CHECK_INTERVAL);
        let hsts = table.or("hsts", hsts, Some(HeaderValue::from_static(HSTS)));
        Ok(TlsTerms {
            certificates: certificates?,
            unknown_name: unknown_name?,
            tls12: tls12?,
            http2: http2?,
            handshake_timeout: handshake_timeout?,
            check_interval: check_interval?,
            hsts: hsts?,
        })
    })
}

fn certificates(value: &Value<'_>) -> Read<Vec<CertificateTerms>> {
    let all = value.list(|one| Ok((certificate(one)?, one.clone())))?;
    if all.is_empty() {
        return Err(value.refuse(format_args!("there is no certificate; {CERTIFICATES}")));
    }
    let certificates = all.iter().map(|(terms, _)| Arc::clone(&terms.certificate)).collect();
    match Certificates::new(certificates) {
        Ok(_) => Ok(all.into_iter().map(|(terms, _)| terms).collect()),
        Err(clash) => {
            let (_, later) = &all[clash.place];
            Err(later.refuse(format_args!("{clash}; leave one out, or have one issued without that name")))
        }
    }
}

fn certificate(value: &Value<'_>) -> Read<CertificateTerms> {
    value.table(|table| {
        let chain = table.required("chain", chain, r#"write chain = "cert.pem""#);
        let key = table.required("key", key, r#"write key = { file = "key.pem" }"#);
        let ((chain_at, name, path, chain), (key_at, source, key)) = (chain?, key?);
        let certificate = Certificate::parse(&chain, key.expose()).map_err(|why| {
            if why.concerns_key() {
                key_at.refuse(format_args!("the key {why}"))
            } else {
                chain_at.refuse(format_args!("{} {why}", quoted(&name)))
            }
        })?;
        let source = CertificateSource { name, chain: path, key: source };
        Ok(CertificateTerms { source, certificate: Arc::new(certificate) })
    })
}

type Chain<'d> = (Spot<'d>, String, PathBuf, Zeroizing<Vec<u8>>);

fn chain<'d>(value: &Value<'d>) -> Read<Chain<'d>> {
    let name = value.parse(Ok)?;
    let path = value.reading().folder.join(name);
    let chain =
        read_file(&path).map_err(|why| value.refuse(format_args!("the file {} can't be read: {why}", quoted(name))))?;
    Ok((value.spot().clone(), name.to_owned(), path, chain))
}

fn key<'d>(value: &Value<'d>) -> Read<(Spot<'d>, KeySource, Secret)> {
    let (key, file) = secrets::located(value)?;
    let source = file.map_or_else(|| KeySource::Environment(key.clone()), KeySource::File);
    Ok((value.spot().clone(), source, key))
}

/// How long browsers are to insist on TLS (RFC 6797).
fn hsts(value: &Value<'_>) -> Read<Option<HeaderValue>> {
    match value.as_text() {
        Some("off") => Ok(None),
        Some("forget") => Ok(Some(HeaderValue::from_static("max-age=0"))),
        Some(_) => Ok(Some(insistence(max_age(value)?, ""))),
        None => value.table(|table| {
            let max_age = table.required("max_age", max_age, r#"write max_age = "365d""#);
            let subdomains = table.or("subdomains", Value::flag, false);
            let preload = table.or("preload", Value::flag, false);
            let max_age = max_age?;
            match (subdomains?, preload?) {
                (true, true) if max_age >= LEAST_PRELOAD => {
                    Ok(Some(insistence(max_age, "; includeSubDomains; preload")))
                }
                (_, true) => Err(table.refuse(
                    "browsers preload only what insists for a year, on all names below too; write max_age = \"365d\" or more and subdomains = true",
                )),
                (true, false) => Ok(Some(insistence(max_age, "; includeSubDomains"))),
                (false, false) => Ok(Some(insistence(max_age, ""))),
            }
        }),
    }
}

/// Browsers count whole seconds, and forget at none (RFC 6797 §6.1.1).
fn max_age(value: &Value<'_>) -> Read<Duration> {
    let max_age = values::duration(value)?;
    if max_age.as_secs() == 0 {
        return Err(
            value.refuse("browsers forget what lasts less than a second; write \"1s\" or more, or hsts = \"forget\"")
        );
    }
    Ok(max_age)
}

fn insistence(max_age: Duration, more: &str) -> HeaderValue {
    let value = format!("max-age={}{more}", max_age.as_secs());
    HeaderValue::try_from(value).expect("digits and letters are safe in headers")
}
