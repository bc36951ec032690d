use super::*;

#[test]
fn accepts_what_users_paste() {
    for text in [
        "https://iam.cloud.ibm.com",
        "https://iam.cloud.ibm.com/",
        "HTTPS://IAM.cloud.ibm.com/identity/token",
        " https://iam.cloud.ibm.com/identity/token/ ",
        "https://iam.cloud.ibm.com/oidc/token",
    ] {
        assert_eq!(Endpoint::parse(text, false).unwrap().as_str(), "https://iam.cloud.ibm.com", "{text}");
    }
    let port = Endpoint::parse("http://127.0.0.1:8080", true).unwrap();
    assert_eq!(port.token_url(), "http://127.0.0.1:8080/identity/token");
}

#[test]
fn refuses_what_could_lead_elsewhere() {
    for text in ["http://iam.cloud.ibm.com", "iam.cloud.ibm.com", "ftp://x"] {
        assert_eq!(Endpoint::parse(text, false), Err(EndpointError::NotHttps), "{text}");
    }
    for text in [
        "https://",
        "https://:443",
        "https://iam.cloud.ibm.com:",
        "https://iam.cloud.ibm.com:0",
        "https://iam.cloud.ibm.com:65536",
        "https://iam.cloud.ibm.com:https",
        "https://iam.cloud.ibm.com@evil.example",
        "https://a b",
        "https://a?x",
        "https://a#x",
        "https://a\\b",
        "https://0x7f.1",
        "https://[::1",
        "https://a[b]",
        "https://iam.cloud.ibm.com/a/../b",
    ] {
        assert_eq!(Endpoint::parse(text, false), Err(EndpointError::Malformed), "{text}");
    }
}

#[test]
fn finds_only_what_is_allowed() {
    let allowed = Endpoints::new(vec![Endpoint::parse("https://iam.cloud.ibm.com", false).unwrap()]).unwrap();
    assert!(allowed.find("https://iam.cloud.ibm.com/identity/token").is_some());
    assert!(allowed.find("https://iam.cloud.ibm.com.evil.example").is_none());
    assert!(allowed.find("http://iam.cloud.ibm.com").is_none());
}

/// The forms that IBM documents (IBM-Cloud/ibm-cloud-sdk-ruby, IBM/go-sdk-core): public, private by VPE, private by
/// region, staging and its private form.
const BASES: [&str; 6] = [
    "https://iam.cloud.ibm.com",
    "https://private.iam.cloud.ibm.com",
    "https://private.us-south.iam.cloud.ibm.com",
    "https://private.eu-de.iam.cloud.ibm.com",
    "https://iam.test.cloud.ibm.com",
    "https://private.iam.test.cloud.ibm.com",
];

fn all(texts: &[&str]) -> Vec<Endpoint> {
    texts.iter().map(|text| Endpoint::parse(text, true).unwrap()).collect()
}

#[test]
fn each_endpoint_of_ibm_is_known_in_each_of_its_forms() {
    let allowed = Endpoints::new(all(&BASES)).unwrap();
    for base in BASES {
        for port in ["", ":443"] {
            for path in ["", "/", "/identity/token", "/identity/token/", "/oidc/token"] {
                let text = format!("{base}{port}{path}");
                assert_eq!(Endpoint::parse(&text, false).unwrap().as_str(), base, "{text}");
                assert_eq!(allowed.find(&text).unwrap().as_str(), base, "{text}");
            }
        }
    }
}

#[test]
fn another_port_is_another_endpoint() {
    let allowed =
        Endpoints::new(all(&["https://iam.cloud.ibm.com:8443", "http://127.0.0.1", "https://[::1]:8443"])).unwrap();
    assert!(allowed.find("https://iam.cloud.ibm.com:8443/identity/token").is_some());
    assert!(allowed.find("https://iam.cloud.ibm.com").is_none());
    assert!(allowed.find("http://127.0.0.1:80/").is_some() && allowed.find("http://127.0.0.1:443").is_none());
    assert!(allowed.find("https://[::1]:8443/").is_some() && allowed.find("https://[::1]").is_none());
}

#[test]
fn what_stands_in_for_the_default_one_must_be_allowed_and_there_once() {
    let new = |failover: &[&str]| Endpoints::new(all(&BASES)).unwrap().with_failover(all(failover));
    assert!(Endpoints::new(all(&BASES)).unwrap().failover().is_empty());
    assert_eq!(new(&[BASES[2], BASES[1]]).unwrap().failover(), all(&[BASES[2], BASES[1]]));
    let elsewhere = "https://iam.example";
    assert_eq!(new(&[elsewhere]), Err(FailoverError::NotAllowed(all(&[elsewhere]).remove(0))));
    for repeated in [&[BASES[0]][..], &[BASES[1], BASES[1]]] {
        assert!(matches!(new(repeated), Err(FailoverError::Repeated(_))), "{repeated:?}");
    }
    assert_eq!(new(&BASES[1..]), Err(FailoverError::TooMany));
}
