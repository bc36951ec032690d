//! Traces: what a look at an `IamToken` did, as a tree of spans, sent over OTLP/HTTP to the collector that the admin
//! names.
//!
//! A span of this crate is made with the macros of `tracing` where the work is done, and costs nothing where no collector
//! is named. Spans of other crates never go out, whatever is logged: kube's can hold a Secret. Spans are not seen in the
//! log, and lines of the log not in spans. What is in which span is explained in docs/traces.md.

mod collector;
pub mod span;

use std::time::Duration;

use http::Uri;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use self::collector::Collector;
use self::span::is_ours;

/// What follows on the base URL of a collector (OTLP specification, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";

/// How long the last spans may take at the end: kubelet kills 30 s after it asked for the end, and 20 s of that are for
/// what is in flight.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(3);

/// Spans on their way to a collector: a queue of at most `OTEL_BSP_MAX_QUEUE_SIZE` spans (2048), which a thread of its own
/// empties. Those that find no place in it are dropped.
pub struct Traces {
    provider: SdkTracerProvider,
}

/// Where spans go to: the URL of the flag or of `OTEL_EXPORTER_OTLP_ENDPOINT`, with `/v1/traces` after it, or that of
/// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` as it is. Nowhere where none is set.
///
/// # Errors
/// Where it is no such URL, in words that say so.
pub fn destination(flag: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Uri>, String> {
    let set = |name: &'static str| Some((name, variable(name).filter(|value| !value.is_empty())?));
    let with_path = |(name, base): (_, String)| (name, base.trim_end_matches('/').to_owned() + PATH);
    let flag = flag.filter(|value| !value.is_empty()).map(|base| ("--otlp-endpoint", base.to_owned()));
    let named = flag
        .map(with_path)
        .or_else(|| set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT").map(with_path));
    named.map(|(name, url)| parse(&url).ok_or_else(|| format!("{name}: {HOW_TO_WRITE}"))).transpose()
}

const HOW_TO_WRITE: &str = "write http:// or https://, a host and perhaps a port and a path, such as \
     http://otel-collector.observability:4318. A password or token for it goes into OTEL_EXPORTER_OTLP_HEADERS";

fn no_client(error: reqwest::Error) -> String {
    let error = error.without_url();
    format!("no client for the collector of traces ({error}): are there CA certificates? See SSL_CERT_FILE")
}

fn parse(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let spoken = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain = uri.query().is_none() && !uri.authority()?.as_str().contains('@');
    (spoken && plain && !uri.host()?.is_empty()).then_some(uri)
}

// === impl Traces ===

impl Traces {
    /// To this collector. Its requests run on the runtime that this is called within.
    ///
    /// # Errors
    /// Where there can be no client for it, in words that say so.
    pub fn to(collector: &Uri) -> Result<Self, String> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(collector.to_string())
            .with_http_client(Collector::new(collector).map_err(no_client)?)
            .build()
            .map_err(|error| error.to_string())?;
        let provider = SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build();
        Ok(Self { provider })
    }

    /// Makes spans of them.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("iam-token-operator"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO))
    }

    /// Sends what is left, for 3 s at most.
    pub async fn end(self) {
        // It blocks until the last answer, which comes to this very thread.
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(PATIENCE_AT_THE_END));
        let _ = ended.await;
    }
}

/// Who makes the spans. `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` have the last word.
fn resource() -> Resource {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let instance = variable("HOSTNAME").map(|host| KeyValue::new("service.instance.id", host));
    let resource = Resource::builder_empty()
        .with_service_name("iam-token-operator")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(instance)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    variable("OTEL_SERVICE_NAME")
        .into_iter()
        .fold(resource, opentelemetry_sdk::resource::ResourceBuilder::with_service_name)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable =
            |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        destination(flag, variable).map(|uri| uri.map(|uri| uri.to_string()))
    }

    #[test]
    fn spans_go_nowhere_unless_a_collector_is_named() {
        let empty = [("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")];
        assert_eq!(to(None, &[]), Ok(None));
        assert_eq!(to(Some(""), &empty), Ok(None));
    }

    #[test]
    fn the_flag_goes_before_the_variables_and_one_for_traces_before_one_for_all() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://b:1/otlp/");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/as/it/is");
        let is = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(to(Some("http://a:4318"), &[all, traces]), is("http://a:4318/v1/traces"));
        assert_eq!(to(Some("http://a/"), &[]), is("http://a/v1/traces"));
        assert_eq!(to(None, &[all, traces]), is("http://c/as/it/is"));
        assert_eq!(to(None, &[all]), is("https://b:1/otlp/v1/traces"));
    }

    #[test]
    fn what_is_no_url_of_a_collector_is_refused_and_not_repeated() {
        for wrong in
            ["collector:4318", "grpc://a:4317", "http://", "http://me:FAKE@a", "http://a/?token=FAKE", "http://a b"]
        {
            let said = to(Some(wrong), &[]).unwrap_err();
            assert!(said.starts_with("--otlp-endpoint: write http://") && !said.contains("FAKE"), "{wrong}: {said}");
        }
        let said = to(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere")]).unwrap_err();
        assert!(said.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: "), "{said}");
    }
}
