//! Where keys may be sent: only to endpoints that the admin allowed.

use std::fmt;

/// The base URL of an IAM, such as `https://iam.cloud.ibm.com`: scheme, host and optional port and path, with neither
/// a trailing slash nor the `/identity/token` that users often paste along.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint(String);

/// Why a text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither https nor, where the admin allows it for development, http.
    #[error("must start with https://")]
    NotHttps,
    /// User name, password, query, fragment, white space or no host.
    #[error("must be scheme, host and optional port only, such as https://iam.cloud.ibm.com")]
    Malformed,
}

/// The endpoints that the admin allows, the default one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(Vec<Endpoint>);

// === impl Endpoint ===

impl Endpoint {
    /// Accepts the forms that users paste: with or without a trailing slash, `/identity/token` or `/oidc/token`.
    ///
    /// # Errors
    /// [`EndpointError`] where the text is no https URL of a host; http passes only with `allow_http`.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, EndpointError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::NotHttps)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "https" && !(scheme == "http" && allow_http) {
            return Err(EndpointError::NotHttps);
        }
        let rest = rest.trim_end_matches('/');
        let rest = ["/identity/token", "/oidc/token"].iter().find_map(|path| rest.strip_suffix(path)).unwrap_or(rest);
        let rest = rest.trim_end_matches('/');
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]/".contains(c);
        if host.is_empty() || host.starts_with(':') || !rest.chars().all(plain) {
            return Err(EndpointError::Malformed);
        }
        Ok(Self(format!("{scheme}://{}{path}", host.to_ascii_lowercase())))
    }

    /// Without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where tokens are asked for.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/identity/token", self.0)
    }

    /// Where API keys are asked about (IBM's OpenAPI of IAM Identity, `getApiKeysDetails`).
    #[must_use]
    pub fn key_details_url(&self) -> String {
        format!("{}/v1/apikeys/details", self.0)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Endpoints ===

impl Endpoints {
    /// The first of `allowed` is the default one; `None` where the list is empty.
    #[must_use]
    pub fn new(allowed: Vec<Endpoint>) -> Option<Self> {
        (!allowed.is_empty()).then_some(Self(allowed))
    }

    /// The one that an `IamToken` without an endpoint uses.
    #[must_use]
    pub fn default_one(&self) -> &Endpoint {
        &self.0[0]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.0.iter()
    }

    /// The allowed endpoint that a user named, however it was written.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&Endpoint> {
        let wanted = Endpoint::parse(text, true).ok()?;
        self.0.iter().find(|allowed| **allowed == wanted)
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self.0.iter().map(Endpoint::as_str).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
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
            "https://iam.cloud.ibm.com@evil.example",
            "https://a b",
            "https://a?x",
            "https://a#x",
            "https://a\\b",
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
}
