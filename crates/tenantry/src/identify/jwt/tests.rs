use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::HeaderValue;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"a secret of thirty-two bytes, and more";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn good_claims() -> Value {
    json!({"iss": "shop", "aud": "shop", "exp": now() + 60, "tenant": "acme", "sub": "userA"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good_claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = good_claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn token(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn hmac_with(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    move |message| hmac::sign(&key, message).as_ref().to_vec()
}

fn hs256(claims: &Value) -> String {
    token(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), hmac_with(SECRET))
}

fn keys() -> JwtKeys {
    JwtKeys::hs256(SECRET, "shop", "shop").unwrap()
}

fn headers(lines: &[&str]) -> HeaderMap {
    let value = |line: &&str| (header::AUTHORIZATION, HeaderValue::from_str(line).unwrap());
    lines.iter().map(value).fold(HeaderMap::new(), |mut all, (name, value)| {
        all.append(name, value);
        all
    })
}

fn visit(keys: &JwtKeys, token: &str) -> Result<Option<(Name, Claims)>> {
    let found = named_by_jwt(&headers(&[&format!("Bearer {token}")]), keys)?;
    Ok(found.map(|OfToken { name, claims, .. }| (name, claims)))
}

#[track_caller]
fn refuses(keys: &JwtKeys, token: &str) {
    let error = visit(keys, token).expect_err(token);
    assert_eq!(error.http_status(), 401);
    assert_eq!(error.client_text(), "valid credentials are needed");
}

#[test]
fn a_valid_token_names_its_tenant_and_hands_its_claims_on() {
    let (name, claims) = visit(&keys(), &hs256(&good_claims())).unwrap().unwrap();
    assert_eq!(name, Name::Key("acme".parse().unwrap()));
    assert_eq!(claims.subject(), Some("userA"));
    assert!(!format!("{claims:?}").contains("userA"));
    let several = with("aud", json!(["other", "shop"]));
    assert!(visit(&keys(), &hs256(&several)).is_ok());
}

#[test]
fn the_tenant_may_stand_in_another_claim() {
    let keys = keys().claim("org");
    assert!(visit(&keys, &hs256(&with("org", json!("acme")))).is_ok());
    refuses(&keys, &hs256(&good_claims()));
}

#[test]
fn a_token_on_other_terms_is_refused() {
    for claims in [
        with("iss", json!("evil")),
        with("iss", json!(["shop"])),
        with("iss", json!("Shop")),
        without("iss"),
        with("aud", json!("other")),
        with("aud", json!(["other"])),
        with("aud", json!([])),
        with("aud", json!(7)),
        without("aud"),
        without("exp"),
        with("exp", json!(null)),
        with("exp", json!(now() - 1)),
        with("exp", json!(now())),
        with("exp", json!(0)),
        with("exp", json!(-1)),
        with("exp", json!(1e300)),
        with("exp", json!((now() + 60).to_string())),
        with("exp", json!([now() + 60])),
        with("exp", json!(true)),
        with("nbf", json!(now() + 30)),
        with("nbf", json!("soon")),
        without("tenant"),
        with("tenant", json!(null)),
        with("tenant", json!(["acme"])),
        with("tenant", json!(7)),
        with("tenant", json!({"key": "acme"})),
        with("tenant", json!("")),
        with("tenant", json!("Acme")),
        with("tenant", json!("../acme")),
        with("tenant", json!("public")),
    ] {
        refuses(&keys(), &hs256(&claims));
    }
}

#[test]
fn a_token_that_is_not_signed_by_the_key_is_refused() {
    let claims = good_claims().to_string();
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    refuses(&keys(), &token(header, &claims, hmac_with(b"another secret")));
    refuses(&keys(), &token(header, &claims, hmac_with(b"")));
    refuses(&keys(), &token(header, &claims, |_| Vec::new()));
    let good = hs256(&good_claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let evil = URL_SAFE_NO_PAD.encode(with("tenant", json!("evil")).to_string());
    let (header, _) = message.split_once('.').unwrap();
    refuses(&keys(), &format!("{header}.{evil}.{signature}"));
    refuses(&keys(), &format!("{message}."));
    refuses(&keys(), message);
    refuses(&keys(), &format!("{good}."));
    refuses(&keys(), &format!("{good}.{signature}"));
    refuses(&keys(), &good[..good.len() - 2]);
    refuses(&keys(), &format!("{good}=="));
}

#[test]
fn the_header_of_a_token_chooses_neither_key_nor_algorithm() {
    let claims = good_claims().to_string();
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"NONE","typ":"JWT"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        "{}",
        "[]",
        "",
        "null",
    ] {
        refuses(&keys(), &token(header, &claims, hmac_with(SECRET)));
        refuses(&keys(), &token(header, &claims, |_| Vec::new()));
    }
    for kid in ["../../../dev/null", "' UNION SELECT ''", "/proc/sys/kernel/randomize_va_space"] {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        refuses(&keys(), &token(&header, &claims, hmac_with(b"")));
        refuses(&keys(), &token(&header, &claims, hmac_with(b"2\n")));
        assert!(visit(&keys(), &token(&header, &claims, hmac_with(SECRET))).is_ok());
    }
    let own_key = json!({"alg": "HS256", "jwk": {"kty": "oct", "k": URL_SAFE_NO_PAD.encode("mine")}}).to_string();
    refuses(&keys(), &token(&own_key, &claims, hmac_with(b"mine")));
}

#[test]
fn a_claim_that_stands_there_twice_is_refused() {
    let twice = format!(r#"{{"iss":"shop","aud":"shop","exp":{},"tenant":"acme","tenant":"evil"}}"#, now() + 60);
    refuses(&keys(), &token(r#"{"alg":"HS256"}"#, &twice, hmac_with(SECRET)));
}

#[test]
fn leeway_is_none_unless_asked_for_and_has_an_end() {
    let late = hs256(&with("exp", json!(now() - 20)));
    let early = hs256(&with("nbf", json!(now() + 20)));
    refuses(&keys(), &late);
    refuses(&keys(), &early);
    let lenient = keys().leeway(Duration::from_secs(60));
    assert!(visit(&lenient, &late).is_ok());
    assert!(visit(&lenient, &early).is_ok());
    refuses(&keys().leeway(Duration::MAX), &hs256(&with("exp", json!(now() - 400))));
}

#[test]
fn a_second_key_takes_its_own_tokens_on_its_own_terms() {
    let other = JwtKeys::hs256(b"the other secret", "other", "shop").unwrap();
    let both = keys().or(other);
    let header = r#"{"alg":"HS256"}"#;
    let of_other = with("iss", json!("other")).to_string();
    assert!(visit(&both, &hs256(&good_claims())).is_ok());
    assert!(visit(&both, &token(header, &of_other, hmac_with(b"the other secret"))).is_ok());
    refuses(&both, &token(header, &of_other, hmac_with(SECRET)));
    refuses(&both, &token(header, &good_claims().to_string(), hmac_with(b"the other secret")));
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn x509(key: &impl AsDer<PublicKeyX509Der<'static>>) -> String {
    pem("PUBLIC KEY", key.as_der().unwrap().as_ref())
}

#[test]
fn each_algorithm_takes_its_own_tokens_and_no_other() {
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let rsa_pem = x509(rsa.public_key());

    let rs = JwtKeys::rs256_pem(&rsa_pem, "shop", "shop").unwrap();
    let es = JwtKeys::es256_pem(x509(ec.public_key()), "shop", "shop").unwrap();
    let ed25519 = JwtKeys::eddsa_pem(x509(ed.public_key()), "shop", "shop").unwrap();

    let claims = good_claims().to_string();
    let by_rsa = token(r#"{"alg":"RS256"}"#, &claims, |message| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
        signature
    });
    let by_ec = token(r#"{"alg":"ES256"}"#, &claims, |m| ec.sign(&random, m).unwrap().as_ref().to_vec());
    let by_ed = token(r#"{"alg":"EdDSA"}"#, &claims, |m| ed.sign(m).as_ref().to_vec());
    let by_hmac = hs256(&good_claims());
    // The classic: the public key, which everybody has, as the secret of an HMAC.
    let confused = token(r#"{"alg":"HS256"}"#, &claims, hmac_with(rsa_pem.as_bytes()));

    let all = [(keys(), &by_hmac), (rs, &by_rsa), (es, &by_ec), (ed25519, &by_ed)];
    for (at, (keys, own)) in all.iter().enumerate() {
        assert!(visit(keys, own).is_ok(), "{keys:?}");
        refuses(keys, &confused);
        for (_, foreign) in all.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, pair)| pair) {
            refuses(keys, foreign);
        }
    }
    assert!(JwtKeys::rs256_pem(pem("RSA PUBLIC KEY", rsa.public_key().as_ref()), "shop", "shop").is_ok());
    assert!(JwtKeys::hs256(&rsa_pem, "shop", "shop").is_err());
    assert!(JwtKeys::es256_pem(&rsa_pem, "shop", "shop").is_err());
    assert!(JwtKeys::eddsa_pem(&rsa_pem, "shop", "shop").is_err());
    assert!(JwtKeys::rs256_pem(x509(ed.public_key()), "shop", "shop").is_err());
}

#[test]
fn a_key_that_would_let_everybody_in_is_refused() {
    assert!(JwtKeys::hs256(b"", "shop", "shop").is_err());
    assert!(JwtKeys::hs256(SECRET, "", "shop").is_err());
    assert!(JwtKeys::hs256(SECRET, "shop", "").is_err());
    for bad in ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
        assert!(JwtKeys::rs256_pem(bad, "shop", "shop").is_err());
    }
    assert!(!format!("{:?}", keys()).contains("thirty"));
}

#[test]
fn the_scheme_is_read_in_any_case_and_other_schemes_are_left_alone() {
    let good = hs256(&good_claims());
    for line in [format!("bearer {good}"), format!("BEARER {good}"), format!("Bearer   {good} ")] {
        assert!(named_by_jwt(&headers(&[&line]), &keys()).unwrap().is_some(), "{line}");
    }
    for line in ["Basic dXNlcjpwYXNz", "Bearerish x", "bearer2 x", "Digest x", ""] {
        assert!(named_by_jwt(&headers(&[line]), &keys()).unwrap().is_none(), "{line}");
    }
    assert!(named_by_jwt(&headers(&["Basic a", "Basic b"]), &keys()).unwrap().is_none());
}

#[test]
fn a_bearer_line_without_one_readable_token_is_refused() {
    let good = format!("Bearer {}", hs256(&good_claims()));
    for lines in [
        &[&good[..], &good][..],
        &[&good, "Basic dXNlcjpwYXNz"],
        &["Basic dXNlcjpwYXNz", &good],
        &["Bearer"],
        &["Bearer "],
        &["Bearer\tabc"],
        &["Bearer, x"],
        &["Bearer="],
        &["Bearer garbage"],
        &["Bearer a.b.c"],
        &["Bearer .."],
        &["Bearer a b"],
        &[&format!("{good} {good}")],
        &[&format!("{good},{good}")],
        &[&format!("Bearer {}", "a".repeat(1_000_000))],
    ] {
        let error = named_by_jwt(&headers(lines), &keys()).expect_err(lines[0]);
        assert_eq!(error.http_status(), 401);
    }
}

proptest! {
    #[test]
    fn no_forged_token_passes_and_none_panics(text in "[A-Za-z0-9_.=-]{0,80}") {
        prop_assert!(visit(&keys(), &text).is_err());
    }

    #[test]
    fn a_token_changed_in_one_place_is_refused(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]") {
        let good = hs256(&good_claims());
        let at = at.index(good.len());
        let changed = format!("{}{with}{}", &good[..at], &good[at + 1..]);
        // The last character of a part may hold bits that mean nothing; a strict decoder refuses them too.
        prop_assert!(changed == good || visit(&keys(), &changed).is_err());
    }
}

#[test]
fn a_token_tells_the_id_of_its_tenant_or_is_refused() {
    let read = |keys: &JwtKeys, claims: &Value| {
        let line = format!("Bearer {}", hs256(claims));
        named_by_jwt(&headers(&[&line]), keys).map(|found| found.expect("a token").id)
    };
    let id = TenantId::new();
    let text = Value::from(id.to_string());
    assert_eq!(read(&keys(), &good_claims()).unwrap(), None);
    assert_eq!(read(&keys(), &with("tenant_id", text.clone())).unwrap(), Some(id));
    assert_eq!(read(&keys().id_claim("tid"), &with("tid", text.clone())).unwrap(), Some(id));
    assert_eq!(read(&keys().require_id(), &with("tenant_id", text)).unwrap(), Some(id));
    for wrong in [Value::from(""), Value::from("acme"), Value::from(7), Value::Null, json!([id.to_string()])] {
        let error = read(&keys(), &with("tenant_id", wrong)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
    assert_eq!(read(&keys().require_id(), &good_claims()).unwrap_err().kind(), ErrorKind::Unauthenticated);
}
