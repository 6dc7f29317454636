//! What can be shown to clients, and what can't.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};

use super::*;

/// A certificate that is good for these names.
pub(in crate::certificates) fn made_for(names: &[&str]) -> Certificate {
    let (chain, key) = pem(&params(names));
    Certificate::parse(chain.as_bytes(), key.as_bytes()).unwrap()
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn pem(params: &CertificateParams) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn what_does_not_fit_together_or_can_not_be_shown_is_refused() {
    use CertificateError as E;
    let (chain, key) = pem(&params(&["a.example"]));
    let (other_chain, other_key) = pem(&params(&["b.example"]));
    let mut client = params(&["a.example"]);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let (client, client_key) = pem(&client);
    let (nameless, nameless_key) = pem(&params(&[]));
    let cut = format!("{}\n-----END CERTIFICATE-----\n", &chain[..chain.len() / 2]);
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let traditional = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let reversed = format!("{other_chain}{chain}");
    let whole = format!("{chain}{other_chain}");
    let broken_later = format!("{chain}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (name, chain, key, expected) in [
        ("good", chain.as_str(), key.as_str(), None),
        ("a longer chain", &whole, &key, None),
        ("nothing", "", &key, Some(E::NoCertificate)),
        ("a key for a chain", &key, &key, Some(E::NoCertificate)),
        ("half a certificate", &cut, &key, Some(E::Unreadable)),
        ("garbage behind it", &broken_later, &key, Some(E::Unreadable)),
        ("no PEM", "-----BEGIN CERTIFICATE-----\n", &key, Some(E::Unreadable)),
        ("for clients", &client, &client_key, Some(E::NotForServers)),
        ("for nobody", &nameless, &nameless_key, Some(E::Nameless)),
        ("a short RSA key", WEAK_CHAIN, WEAK_KEY, Some(E::WeakKey)),
        ("no key", &chain, "", Some(E::NoKey)),
        ("a chain for a key", &chain, &chain, Some(E::NoKey)),
        ("an encrypted key", &chain, &encrypted, Some(E::EncryptedKey)),
        ("an encrypted key of old", &chain, traditional, Some(E::EncryptedKey)),
        ("a key that is none", &chain, no_key, Some(E::UnknownKey)),
        ("another's key", &chain, &other_key, Some(E::OtherKey)),
        ("a chain in the wrong order", &reversed, &key, Some(E::OtherKey)),
    ] {
        let refused = Certificate::parse(chain.as_bytes(), key.as_bytes()).err();
        assert_eq!(refused, expected, "{name}");
    }
}

#[test]
fn a_certificate_knows_its_names_and_dates() {
    let mut params = params(&["B.Example", "a.example", "*.example", "192.0.2.1"]);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 2, 1);
    let (chain, key) = pem(&params);
    let certificate = Certificate::parse(chain.as_bytes(), key.as_bytes()).unwrap();
    assert_eq!(certificate.names(), ["*.example", "a.example", "b.example"]);
    let (from, until) = (1_767_225_600, 1_769_904_000);
    assert_eq!(certificate.valid_until(), Timestamp::from_secs(until));
    for (now, expected) in [
        (from - 1, Some("is not valid before 2026-01-01T00:00:00.000Z")),
        (from, None),
        (until, None),
        (until + 1, Some("expired at 2026-02-01T00:00:00.000Z")),
    ] {
        let now = Timestamp::from_secs(now);
        assert_eq!(certificate.not_at(now).as_deref(), expected);
        assert_eq!(certificate.is_valid_at(now), expected.is_none());
    }
}

/// Of RSA with 1024 bits, which the generator of these tests does not make.
const WEAK_CHAIN: &str = "\
-----BEGIN CERTIFICATE-----
MIICFTCCAX6gAwIBAgIUAcOoSU6K4+hyVACIzrsKrPnTJ/wwDQYJKoZIhvcNAQEL
BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjExNDUyMThaGA8yMTI2MTAyODE0
NTIxOFowDzENMAsGA1UEAwwEd2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC
gYEA32uagek8dZzbN1kQAYARTCx5FPth1KREu2lP6SFazsYYdJv1GXhla+7XLFaA
4MsmYX4h7qwo1R0sOLxqrZdGLWVKL3f/344P/0xsq/tSgxV7vJQkGgbPb/thQTn0
bKzjg0W3zx83n4knT61nbQRWqBBaAd1US6TY7xJcOku13xsCAwEAAaNsMGowHQYD
VR0OBBYEFFzsUj+LAGvpU5v/x/0EeyKtLD86MB8GA1UdIwQYMBaAFFzsUj+LAGvp
U5v/x/0EeyKtLD86MA8GA1UdEwEB/wQFMAMBAf8wFwYDVR0RBBAwDoIMd2Vhay5l
eGFtcGxlMA0GCSqGSIb3DQEBCwUAA4GBAEasZCerFNjTs2Ckwe47ahWOgI+jkuAT
xn9IxEV1Zal3/sShPajh06tqgEUsxVepBQKGAPrV2MiCtLd7EyjcDa7fYMzcNsrS
te2c8+4GMwngTaQE5dG7Vk/3ff2xG9OuD9IotK74+4n17yWgVECdhSODnQ8+4chx
fttrsJbpk8kr
-----END CERTIFICATE-----
";
const WEAK_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIICeQIBADANBgkqhkiG9w0BAQEFAASCAmMwggJfAgEAAoGBAN9rmoHpPHWc2zdZ
EAGAEUwseRT7YdSkRLtpT+khWs7GGHSb9Rl4ZWvu1yxWgODLJmF+Ie6sKNUdLDi8
aq2XRi1lSi93/9+OD/9MbKv7UoMVe7yUJBoGz2/7YUE59Gys44NFt88fN5+JJ0+t
Z20EVqgQWgHdVEuk2O8SXDpLtd8bAgMBAAECgYEAgcznIBCcQoxVw8snhGeeJQ41
bl450St6jxM5DO2G71ihfqXY+Oo8qj9BnY3IJFGCQ+Pe3OYCdwYS2geFRsL7TnAV
euhHavfW40QIBHExeLO2e73WAzIrDWA6QYHn5/rqVsWV2J40adjgE90YRSxFzkfO
a9DgNJ/eFamj562MCRECQQD8+2mLQuLCzDme1mWdGV7CFewBjfp30sa/o1nvd7KQ
dHtMoIxLn9it8UruN9C7aZMz9Z+BHxuoTDcXn0VUOGBZAkEA4hXpdeByKLCSgyHp
3tbIkWT/hWqmAHqrrBF6sNSlKxh+gNzOEIxvC2SDiDTYqmXacUEHCeQT3/Fd8iln
7hlskwJBAJioMaFKhEGeMSsLHxg0pfyic97gSQMjWrFrpiqd5U/MKlcsDlzYIU2d
bGTho4BkDeLt1gl5txvQmfIUNybCOkkCQQCSc6lAj3zDuOWfhldt32obLPaMoTIZ
O117X/M/GvBHQ12m8eGWPLIuChVeJQV5E/N1y67YjGMHfN3jYUkOpm97AkEA7nMC
v917n1W0vuvgfdaEk4jfszm1x/GnBhw8+BcpZB8uuOe9EENy1FTPTy5HtB8IuvmM
mQL4u/UdUXbswJ1/oQ==
-----END PRIVATE KEY-----
";
