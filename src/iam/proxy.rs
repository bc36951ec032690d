//! The proxies of the environment: `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` (for endpoints with http also `HTTP_PROXY`),
//! in capitals or not, as curl reads them. reqwest goes by the same rules, which are hyper-util's.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use crate::core::endpoint::Endpoint;

/// The proxies, as the environment was when they were looked up.
pub struct Proxies(Matcher);

/// The variables that name a proxy.
const VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];

/// A variable names no proxy. Without its value, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no proxy that can be used: set it to http:// or https://, host and port, such as http://proxy.example:3128"
)]
pub struct ProxyError(&'static str);

// === impl Proxies ===

impl Proxies {
    /// Those of the environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self(Matcher::from_env())
    }

    /// Scheme, host and port of the proxy towards an endpoint; never its user name and password.
    #[must_use]
    pub fn towards(&self, endpoint: &Endpoint) -> Option<String> {
        let proxy = self.0.intercept(&endpoint.as_str().parse().ok()?)?;
        let uri = proxy.uri();
        Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
    }
}

/// Whether all variables that `get` knows name a proxy. reqwest would pass over one that doesn't, and connect directly.
///
/// # Errors
/// The first one that doesn't.
pub fn check(get: impl Fn(&str) -> Option<String>) -> Result<(), ProxyError> {
    let bad = VARIABLES.into_iter().find(|name| get(name).is_some_and(|value| !value.is_empty() && !is_proxy(&value)));
    bad.map_or(Ok(()), |name| Err(ProxyError(name)))
}

fn is_proxy(value: &str) -> bool {
    let Ok(uri) = value.parse::<Uri>() else { return false };
    let speaks = uri.scheme_str().is_none_or(|scheme| ["http", "https"].contains(&scheme));
    speaks && uri.authority().is_some_and(|authority| !authority.host().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn towards(https: &str, no: &str, endpoint: &str) -> Option<String> {
        let matcher = Matcher::builder().https(https).no(no).build();
        Proxies(matcher).towards(&Endpoint::parse(endpoint, true).unwrap())
    }

    #[test]
    fn it_is_named_without_its_password() {
        let iam = "https://iam.cloud.ibm.com";
        for (value, shown) in [
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://user:FAKE-password@proxy.example:3128/path", "http://proxy.example:3128"),
            ("https://user@proxy.example", "https://proxy.example"),
            ("proxy.example:3128", "http://proxy.example:3128"),
            ("http://[::1]:3128", "http://[::1]:3128"),
        ] {
            assert_eq!(towards(value, "", iam).as_deref(), Some(shown), "{value}");
            assert_eq!(check(|name| (name == "https_proxy").then(|| value.to_owned())), Ok(()), "{value}");
        }
        assert_eq!(towards("", "", iam), None);
        assert_eq!(towards("http://proxy.example", "", "http://127.0.0.1:80"), None);
    }

    #[test]
    fn whoever_is_named_in_no_proxy_is_asked_directly() {
        let iam = "https://private.iam.cloud.ibm.com";
        for no in ["private.iam.cloud.ibm.com", ".ibm.com", "10.0.0.0/8,cloud.ibm.com", "*"] {
            assert_eq!(towards("http://proxy.example", no, iam), None, "{no}");
        }
        assert!(towards("http://proxy.example", "10.0.0.0/8,.appdomain.cloud", iam).is_some());
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_told_without_its_value() {
        for value in ["socks5://proxy.example:1080", "http://", "http://user:FAKE-password@", "a b", "/path"] {
            for name in VARIABLES {
                let error = check(|other| (other == name).then(|| value.to_owned())).unwrap_err();
                assert_eq!(error, ProxyError(name), "{value}");
                assert!(error.to_string().starts_with(name) && !error.to_string().contains("FAKE"), "{error}");
            }
        }
        assert_eq!(check(|_| None), Ok(()));
        assert_eq!(check(|_| Some(String::new())), Ok(()));
    }
}
