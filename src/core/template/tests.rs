use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::jiff::Timestamp;

use super::*;

/// More than any of them takes on a busy machine, built without optimisation.
const QUICK: Duration = Duration::from_secs(5);

fn token(claims: &str) -> String {
    format!("eyJFAKE.{}.FAKE-signature", URL_SAFE_NO_PAD.encode(claims))
}

fn renderer(token: &str, identity: Option<&Identity>) -> Renderer {
    let life = Life { since: Timestamp::UNIX_EPOCH, lasts: Duration::from_mins(20) };
    Renderer::new(&Facts { token, life, identity, namespace: "payments", name: "hpcs" })
}

/// What the template says of a token with these claims.
fn said(source: &str, claims: &str) -> Result<String, Fault> {
    let identity =
        Identity { iam_id: Some("iam-ServiceId-1".into()), account_id: Some("0123".into()), ..Identity::default() };
    renderer(&token(claims), Some(&identity)).render(source).map(|bytes| String::from_utf8(bytes).unwrap())
}

/// The fault that is found before there is a token.
fn refused(source: &str) -> Fault {
    match try_out([("k", source)].into_iter()) {
        Err((_, fault)) => fault,
        Ok(()) => panic!("{source:?} is not refused"),
    }
}

#[test]
fn every_variable_says_what_it_is_called() {
    for (source, expected) in [
        ("EXPIRES={{ expiration }}\n", "EXPIRES=1200\n"),
        ("{{ token_type }} {{ expires_in }}", "Bearer 1200"),
        ("{{ refreshed_at }} {{ expires_at }}", "1970-01-01T00:00:00Z 1970-01-01T00:20:00Z"),
        ("{{ iam_id }} {{ account_id }}", "iam-ServiceId-1 0123"),
        ("{{ iamtoken.namespace }}/{{ iamtoken.name }}", "payments/hpcs"),
        ("{{ claims.account.bss }} {{ claims['n'] }} {{ claims.yes }}", "abc 7 true"),
        ("{{ claims | tojson }}", r#"{"account":{"bss":"abc"},"amr":["a","b"],"n":7,"null":null,"yes":true}"#),
        ("{% for a in claims.amr %}{{ loop.index }}{{ a }}{% endfor %}", "1a2b"),
        ("{{ subject_type | default('User') }}", "User"),
        ("{% if claims.sub_type is defined %}x{% else %}y{% endif %}", "y"),
        ("{{ expiration ~ '000' }} {{ expiration + 60 }}", "1200000 1260"),
        ("{{ ('iambearer:' ~ iam_id) | b64encode }}", "aWFtYmVhcmVyOmlhbS1TZXJ2aWNlSWQtMQ=="),
        ("{{ 'a b/ä~' | urlencode }}", "a%20b%2F%C3%A4~"),
        ("{{ {'t': iam_id, 'e': expiration, 'q': '<\"'} | tojson }}", r#"{"e":1200,"q":"<\"","t":"iam-ServiceId-1"}"#),
        ("{{ ' aXa ' | lower | replace('x', '-') | upper | trim }}", "A-A"),
        ("{{ claims.amr | join(',') }} {{ claims.amr | length }} {{ claims.amr | last }}", "a,b 2 b"),
        ("{{ iam_id[4:13] }} {{ 'y' if account_id in ['0123', '9'] else 'n' }}{{ 'z' if false }}", "ServiceId y"),
        ("{# none #}{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
    ] {
        let claims = r#"{"account":{"bss":"abc"},"n":7,"yes":true,"null":null,"amr":["a","b"]}"#;
        assert_eq!(said(source, claims).as_deref(), Ok(expected), "{source}");
    }
    let token = token("{}");
    let text = renderer(&token, None).render("TOKEN={{ access_token }}\n").unwrap();
    assert_eq!(text, format!("TOKEN={token}\n").as_bytes());
}

#[test]
fn a_token_that_is_no_jwt_has_no_claims() {
    for opaque in ["FAKE-opaque", "a.b.c", "..", &token("[1]"), &token("7")] {
        let text = renderer(opaque, None).render("{{ claims | tojson }}{{ claims.x is defined }}").unwrap();
        assert_eq!(text, b"{}false", "{opaque}");
    }
}

#[test]
fn what_does_not_parse_is_told_with_its_line() {
    for (source, line, words) in [
        ("a\nb {{ access_token", 2, "syntax error"),
        ("{{ access_token }\n}", 1, "syntax error"),
        ("\n\n{% if claims %}", 3, "syntax error"),
        ("{{ 'a }}", 1, "syntax error"),
        ("{{ access_token | }}", 1, "syntax error"),
        ("{% endfor %}", 1, "syntax error"),
        ("x\n{{ tokn }}", 2, "no variable tokn; there are access_token, "),
        ("{{ api_key }}", 1, "no variable api_key"),
        ("{{ iam_id }}\n{% if apikey is defined %}{% endif %}", 2, "no variable apikey"),
        ("{{ claims.x | default(self) }}", 1, "no variable self"),
        ("{{ loop.index }}", 1, "no variable loop"),
        ("{% for a in claims.amr %}{% endfor %}\n{{ a }}", 2, "no variable a"),
        ("\n{{ access_token | pprint }}", 2, "no filter pprint; there are b64encode, "),
        ("\n{{ access_token is odd }}", 2, "no test odd; there are defined, "),
        ("\n{% set x = 1 %}", 2, "no statement set; there are if and for"),
        ("{% set x %}{% endset %}", 1, "no statement set"),
        ("{% with x = 1 %}{% endwith %}", 1, "no statement with"),
        ("{% filter upper %}{% endfilter %}", 1, "no statement filter"),
        ("{% autoescape true %}{% endautoescape %}", 1, "no statement autoescape"),
        ("{% do range(1) %}", 1, "no statement do"),
        ("{% include 'x' %}", 1, "include"),
        ("{% extends 'x' %}", 1, "extends"),
        ("{% macro m() %}{% endmacro %}", 1, "macro"),
        ("\n{{ range(9) }}", 2, "nothing can be called"),
        ("{{ now() }}", 1, "nothing can be called"),
        ("{{ access_token.upper() }}", 1, "nothing can be called"),
        ("{{ 'x' * 1000000000 }}", 1, "there is no *"),
        ("{{ 2 ** 64 }}", 1, "there is no *"),
        ("{{ 'a' | default(**claims) }}", 1, "there is no *"),
        ("{{ (1, 2) }}", 1, "no tuples"),
        ("{% for a in [claims, claims] %}{% endfor %}", 1, "a part of the token"),
        ("{% for a in claims.amr recursive %}{% endfor %}", 1, "recursive"),
        ("{% for a, b in claims.amr %}{% endfor %}", 1, "one variable"),
        ("\n{{ claims }}", 2, "make JSON of it with tojson"),
        ("{{ [1] }}", 1, "tojson"),
        ("{{ none }}", 1, "tojson"),
        ("\n{{ 'x' + 1 }}", 2, "invalid operation"),
        ("{{ iamtoken.uid }}", 1, "does not have"),
        ("{{ 'a' ~ iamtoken.uid }}", 1, "does not have"),
        ("{{ iamtoken.uid | upper }}", 1, "does not have"),
        ("{{ iamtoken.uid | tojson }}", 1, "does not have"),
        ("{{ iamtoken.uid | urlencode }}", 1, ""),
        ("{{ 'a' | default(1, 2, 3) }}", 1, "too many arguments"),
        ("{{ 'a' | trim('a') }}", 1, "too many arguments"),
    ] {
        let fault = refused(source);
        assert_eq!(fault.line, Some(line), "{source}: {fault:?}");
        assert!(fault.what.contains(words), "{source}: {words:?} is not in {:?}", fault.what);
        assert!(fault.what.len() < 300 && !fault.what.contains('\n') && !fault.what.ends_with('.'), "{fault:?}");
    }
}

#[test]
fn a_claim_that_the_sample_lacks_may_be_there_later() {
    let source = "\n{{ claims.mine.deep }}";
    assert_eq!(try_out([("k", source)].into_iter()), Ok(()));
    assert_eq!(said(source, r#"{"mine":{"deep":"x"}}"#).as_deref(), Ok("\nx"));
    let fault = said(source, "{}").unwrap_err();
    assert_eq!(fault.line, Some(2));
    assert!(fault.what.contains("does not have"), "{fault:?}");
    assert_eq!(try_out([("k", "{{ claims.acr ~ claims.amr[3] }}{{ claims.name + 1 }}")].into_iter()), Ok(()));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn what_takes_long_ends_quickly() {
    let chars = |depth: usize| {
        ["{% for x in access_token %}".repeat(depth), "{{ x }}".to_owned(), "{% endfor %}".repeat(depth)].concat()
    };
    let long = "access_token | replace('', access_token) | replace('', access_token)";
    for (source, words) in [
        (chars(3), "it takes too long"),
        (chars(3).replace("{{ x }}", ""), "it takes too long"),
        (chars(9).replace("{{ x }}", "{{ x if x == '-' }}"), "it takes too long"),
        (chars(3).replace("{{ x }}", "{{ claims | tojson }}"), "it takes too long"),
        (chars(1).replace("{{ x }}", "{{ access_token }}"), "over 1 MiB"),
        (format!("{{{{ {long} | length }}}}"), "it takes too"),
        (format!("{{{{ ({long} | replace('', access_token)) ~ '' }}}}"), "it takes too"),
        ("{{ access_token }}".repeat(1000), "over 1 MiB"),
        (format!("{{{{ 1{} }}}}", "+1".repeat(10_000)), "over 200 words"),
        (format!("{{{{ {}1 }}}}", "-".repeat(10_000)), "over 200 words"),
        (format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000)), "over 200 words"),
        (format!("{{{{ claims{} }}}}", ".a".repeat(10_000)), "over 200 words"),
        (format!("{{% if {}1 %}}{{% endif %}}", "not ".repeat(5_000)), "over 200 words"),
        ("{% if claims %}".repeat(2_000), "over 200 blocks"),
        (format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(2_000)), "over 200 blocks"),
        ("{% for a in claims %}".repeat(199), "syntax error"),
        ("x".repeat(LONGEST + 1), "over 32 KiB"),
    ] {
        let (start, begin) = (source.get(..60).unwrap_or(&source), Instant::now());
        let fault = refused(&source);
        assert!(fault.what.contains(words), "{start}: {fault:?}");
        assert!(begin.elapsed() < QUICK, "{start}: {:?}", begin.elapsed());
    }
}

/// What is just short enough takes no more stack than a test has.
#[test]
fn what_is_as_deep_as_it_may_be_overflows_nothing() {
    for source in [
        format!("{{{{ 1{} }}}}", "+1".repeat(99)),
        format!("{{{{ claims{} | default('') }}}}", ".a".repeat(90)),
        format!("{{{{ 'a'{} }}}}", "|upper".repeat(99)),
        format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(198)),
        format!("{}{}", "{% if 1 %}".repeat(99), "{% endif %}".repeat(99)),
        format!("{{{{ {}1{} | tojson }}}}", "[".repeat(98), "]".repeat(98)),
    ] {
        let tried = try_out([("k", source.as_str())].into_iter());
        assert!(
            tried.is_ok() || matches!(&tried, Err((_, fault)) if fault.what.contains("recursion")),
            "{source}: {tried:?}"
        );
    }
}

#[test]
fn a_mebibyte_is_the_most_and_it_is_shared() {
    let token = "t".repeat(1 << 10);
    let exactly = "{{ access_token }}".repeat(1 << 10);
    let mut one = renderer(&token, None);
    assert_eq!(one.render(&exactly).unwrap().len(), MOST_DATA);
    let fault = one.render("x").unwrap_err();
    assert!(fault.what.contains("over 1 MiB"), "{fault:?}");
    let mut other = renderer(&token, None);
    other.makes_room_for(1);
    assert!(other.render(&exactly).unwrap_err().what.contains("over 1 MiB"));
    let half = "{{ access_token }}".repeat(600);
    let (key, fault) = try_out([("a", "x"), ("b", &half), ("c", &half)].into_iter()).unwrap_err();
    assert_eq!((key.as_str(), fault.line), ("c", Some(1)), "{fault:?}");
}

#[test]
fn the_lengths_of_all_templates_are_added_up() {
    let source = "x".repeat(LONGEST);
    let three = ["a", "b", "c"].map(|key| (key, source.as_str()));
    let (key, fault) = try_out(three.into_iter()).unwrap_err();
    assert_eq!(key, "c");
    assert!(fault.what.contains("64 KiB together"), "{fault:?}");
}

#[test]
fn no_fault_tells_a_value_of_the_token() {
    let claims = r#"{"secret":"FAKE-claim","n":4711,"list":[4712]}"#;
    for source in [
        "{{ claims.secret + 1 }}",
        "{{ claims.n // 0 }}",
        "{{ claims.secret | int }}",
        "{{ claims.secret | first(claims.secret) }}",
        "{{ claims[claims.secret] }}",
        "{{ claims.n | b64encode }}",
        "{{ -claims.secret }}",
        "{{ claims.list }}",
        "{{ claims.secret | replace(1) }}",
        "{% for a in claims.n %}{% endfor %}",
        "{{ {claims.list: 1} | tojson }}",
        "{{ claims.secret | join(x=claims.secret) }}",
        "{{ access_token | int }}",
    ] {
        let fault = said(source, claims).expect_err(source);
        for value in ["FAKE", "471", "eyJ"] {
            assert!(!fault.what.contains(value), "{source}: {fault:?}");
        }
    }
}

#[test]
fn the_same_token_gives_the_same_bytes() {
    let source = "{{ claims | tojson }}{% for c in claims %}{{ c }}{{ claims[c] }}{% endfor %}{{ expires_at }}{{ access_token }}";
    let claims = r#"{"b":1,"a":2,"z":3,"c":4,"y":5,"d":6}"#;
    let first = said(source, claims).unwrap();
    assert!((0..20).all(|_| said(source, claims).as_ref() == Ok(&first)));
    assert!(first.starts_with(r#"{"a":2,"b":1,"c":4"#), "{first}");
}

/// The lists in messages are those that the engine has.
#[test]
fn every_filter_and_test_that_is_named_is_there() {
    for name in filters::FILTERS {
        let fault = try_out([("k", format!("{{{{ access_token | {name} }}}}").as_str())].into_iter());
        assert!(!format!("{fault:?}").contains("unknown"), "{name}: {fault:?}");
    }
    for name in filters::TESTS {
        let fault = try_out([("k", format!("{{{{ access_token is {name} }}}}").as_str())].into_iter());
        assert!(!format!("{fault:?}").contains("unknown"), "{name}: {fault:?}");
    }
    for name in check::VARIABLES {
        let source = format!("{{{{ {name} | tojson }}}}");
        assert_eq!(try_out([("k", source.as_str())].into_iter()), Ok(()), "{name}");
    }
}
