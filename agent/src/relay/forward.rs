//! One request from its head to the head of its response. Nothing here looks into a body, except to ask for usage in a
//! stream (`inject_usage`).

use std::sync::Arc;

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderValue, UPGRADE,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ledgerline_process::serve::GaugeGuard;
use ledgerline_proto::EndOfStream;
use tokio::sync::OwnedSemaphorePermit;

use super::body::{RequestBody, ResponseBody};
use super::client::{ClientGone, Exchange};
use super::headers;
use super::inject::NotInjected;
use super::reply::refusal;
use super::route::Route;
use super::strip::UsageStrip;
use super::tap::{CallTap, ObservedCall};
use super::trace::TraceContext;
use super::upstream::UpstreamError;
use super::usage::{self, InjectionPolicy, Plan};
use super::{ConnectionSlot, Destination, Relay};
use crate::dialect::{Endpoint, Purpose, Spec, unread};
use crate::metrics::{NotInjectedReason, Outcome};
use crate::observation::{CallStart, ResponseHead};
use crate::wire::Framing;

struct InFlightRequest<'a> {
    relay: &'a Relay,
    route: &'a Route,
    destination: &'a Destination,
    running: GaugeGuard,
    call: Option<ObservedCall>,
    outcome: CountedOutcome<'a>,
    exchange: &'a Exchange,
}

/// Counts how the request went, `client_gone` if it is dropped before that is known.
struct CountedOutcome<'a> {
    relay: &'a Relay,
    upstream: &'a Arc<str>,
    outcome: Outcome,
}

impl Drop for CountedOutcome<'_> {
    fn drop(&mut self) {
        self.relay.metrics.count_request(self.upstream, self.outcome);
    }
}

impl Relay {
    /// Forwards one request. Dropping the future cancels it upstream.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        exchange: &Exchange,
    ) -> Result<Response<ResponseBody>, ClientGone> {
        let running = GaugeGuard::new(&self.metrics.requests_running);
        let (mut parts, body) = request.into_parts();
        if let Some((status, class, message)) = what_is_not_carried(&parts) {
            return Ok(self.refuse(status, class, message, None));
        }
        let Some((route, destination, path)) = self.routes.find(parts.uri.path()) else {
            let (path, prefixes) = (parts.uri.path(), self.routes.prefixes());
            let message = format!(
                "ledgerline-agent has no upstream for the path {path}; configured prefixes: {prefixes}"
            );
            return Ok(self.refuse(StatusCode::NOT_FOUND, "unknown_path", &message, None));
        };
        if route.is_left_by(path) {
            let message = "the path leads out of the base path of its upstream; send it without `..`";
            return Ok(self.refuse(StatusCode::BAD_REQUEST, "path_escapes", message, route.dialect));
        }
        let Ok(target) = route.target(path, parts.uri.query()) else {
            let message = "the path is too long to be forwarded";
            return Ok(self.refuse(StatusCode::URI_TOO_LONG, "path_too_long", message, route.dialect));
        };
        let endpoint = route.dialect.and_then(|dialect| dialect.endpoint(&parts.method, path));
        let call = self.observe(route, path, endpoint, &parts.method, &mut parts.headers);
        let expects_continue = headers::expects_continue(&parts.headers);
        headers::prepare_request(&mut parts.headers);
        let plan = destination
            .injection
            .as_ref()
            .map(|injection| (injection, injection.plan(endpoint, &parts, &body)));
        let outcome = CountedOutcome { relay: self, upstream: &route.name, outcome: Outcome::client_gone };
        let request = InFlightRequest { relay: self, route, destination, running, call, outcome, exchange };
        parts.uri = target;
        parts.extensions.clear();
        if body.is_end_stream() {
            drop(exchange.body_end());
        }
        match plan {
            Some((injection, Plan::Collect(permit))) => {
                return request.inject_usage(parts, body, injection, permit).await;
            }
            Some((_, Plan::StreamAsItIs(reason))) => self.metrics.count_not_injected(reason),
            Some((_, Plan::Stream)) | None => {}
        }
        if expects_continue && destination.upstream.is_http1_only() && exchange.await_upstream() {
            parts.headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        let (tap, end) = (request.tap(), Some(exchange.body_end()));
        request.forward(parts, RequestBody::Streamed { client: body, tap, end }).await
    }

    fn refuse(
        &self,
        status: StatusCode,
        class: &'static str,
        message: &str,
        dialect: Option<&Spec>,
    ) -> Response<ResponseBody> {
        self.metrics.count_request(&"".into(), Outcome::refused);
        refusal(status, class, message, dialect)
    }

    /// Takes the headers that are for us, and starts to observe what is a call. Only then is our span put into the
    /// caller's trace: it must not point to a span that nobody records.
    fn observe(
        &self,
        route: &Route,
        path: &str,
        endpoint: Option<&'static Endpoint>,
        method: &Method,
        headers: &mut HeaderMap,
    ) -> Option<ObservedCall> {
        let identity = self.identity.take(headers);
        self.unknown_headers.take(headers, &self.metrics);
        // Without a dialect the operator wants nothing observed.
        let is_candidate = route.dialect.is_some() && *method == Method::POST;
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None if is_candidate && unread::may_carry_model(path, headers::text(headers, &CONTENT_TYPE)) => {
                &unread::UNREAD
            }
            None => {
                if is_candidate {
                    self.tap.ignore();
                }
                return None;
            }
        };
        let trace = TraceContext::of(headers);
        let call = self.tap.start(CallStart {
            at_unix_ns: self.tap.now_unix_ns(),
            endpoint,
            upstream: Arc::clone(&route.name),
            provider: Arc::clone(&route.provider),
            conditions: Arc::clone(&route.conditions),
            path: path.into(),
            trace_id: trace.trace_id,
            span_id: trace.span_id,
            parent_span_id: trace.parent_span_id,
            identity,
        })?;
        if endpoint.purpose == Purpose::Call {
            trace.pass_on(headers);
        }
        Some(call)
    }
}

/// What two readers could understand differently is refused (RFC 9112 section 3.2), and so are tunnels, whose bytes are not
/// HTTP. Other offers to upgrade (`h2c`, as Java's client makes them) are ignored, as RFC 9110 allows.
fn what_is_not_carried(parts: &Parts) -> Option<(StatusCode, &'static str, &'static str)> {
    let is_websocket = |value: &HeaderValue| {
        value.as_bytes().to_ascii_lowercase().windows(9).any(|part| part == b"websocket")
    };
    if parts.headers.get_all(UPGRADE).iter().any(is_websocket) {
        let message = "ledgerline-agent does not carry websockets yet; connect to the provider directly";
        return Some((StatusCode::NOT_IMPLEMENTED, "websocket", message));
    }
    if parts.headers.get_all(HOST).iter().nth(1).is_some() {
        let message = "the request has more than one Host header";
        return Some((StatusCode::BAD_REQUEST, "ambiguous_host", message));
    }
    if parts.method == Method::CONNECT {
        let message = "ledgerline-agent is not a CONNECT proxy; set the client's base URL to it instead";
        return Some((StatusCode::NOT_IMPLEMENTED, "connect_method", message));
    }
    None
}

type Delivered = (Response<Incoming>, ConnectionSlot);

impl InFlightRequest<'_> {
    fn tap(&self) -> Option<Arc<CallTap>> {
        self.call.as_ref().map(|call| call.tap().clone())
    }

    async fn forward(self, parts: Parts, body: RequestBody) -> Result<Response<ResponseBody>, ClientGone> {
        let sent = self.send(parts, body).await?;
        Ok(self.finish(sent, None))
    }

    fn finish(
        self,
        sent: Result<Delivered, UpstreamError>,
        strip: Option<UsageStrip>,
    ) -> Response<ResponseBody> {
        match sent {
            Ok(delivered) => self.deliver(delivered, strip),
            Err(error) => self.fail(&error),
        }
    }

    async fn send(
        &self,
        parts: Parts,
        body: RequestBody,
    ) -> Result<Result<Delivered, UpstreamError>, ClientGone> {
        let mut request = Request::from_parts(parts, body);
        if let Some(interim) = self.exchange.interim() {
            hyper::ext::on_informational(&mut request, move |response| {
                interim.send(response.status(), response.headers());
            });
        }
        tokio::select! {
            biased;
            () = self.exchange.gone() => Err(ClientGone),
            sent = self.destination.upstream.send(request) => Ok(sent),
        }
    }

    /// Collects the request, injects usage into it if the client left that open, and strips what comes of it. An upstream that does not know the field refuses it; then the request goes again as it came.
    async fn inject_usage(
        self,
        mut parts: Parts,
        body: Incoming,
        injection: &InjectionPolicy,
        _permit: OwnedSemaphorePermit,
    ) -> Result<Response<ResponseBody>, ClientGone> {
        let Ok(collected) = body.collect().await else { return Ok(self.client_broke_off()) };
        let trailers = collected.trailers().cloned();
        let original = collected.to_bytes();
        drop(self.exchange.body_end());
        let copy = self.tap().map(|tap| (tap, original.clone()));
        let whole = |bytes, copy| RequestBody::Whole { bytes: Some(bytes), trailers: trailers.clone(), copy };
        let model = usage::model(&original).to_owned();
        if injection.is_disabled(&model) {
            self.relay.metrics.count_not_injected(NotInjectedReason::disabled);
            return self.forward(parts, whole(original, copy)).await;
        }
        let changed = match usage::injected(&original).await {
            Ok(changed) => changed,
            Err(reason) => {
                if reason == NotInjected::NotUnderstood {
                    self.relay.metrics.count_not_injected(NotInjectedReason::not_understood);
                }
                return self.forward(parts, whole(original, copy)).await;
            }
        };
        self.relay.metrics.usage_injected.inc();
        let as_it_came = parts.clone();
        usage::prepare_changed(&mut parts.headers, changed.len());
        let sent = self.send(parts, whole(changed, copy)).await?;
        if !sent.as_ref().is_ok_and(|(response, _)| usage::may_be_our_fault(response.status())) {
            if sent.as_ref().is_ok_and(|(response, _)| response.status().is_success()) {
                injection.taken(&model);
            }
            let strip = sent.as_ref().ok().and_then(|(response, _)| self.strip(response, injection));
            return Ok(self.finish(sent, strip));
        }
        // No provider bills for a refusal, and what it says to the request as it came it would have said without us.
        let names_our_field = match sent {
            Ok((refusal, _slot)) => usage::names_our_field(refusal).await,
            Err(_) => false,
        };
        self.relay.metrics.usage_refused.inc();
        let sent = self.send(as_it_came, whole(original, None)).await?;
        if sent.as_ref().is_ok_and(|(response, _)| response.status().is_success()) {
            injection.taken_back(&self.route.name, &model, names_our_field);
        }
        Ok(self.finish(sent, None))
    }

    /// The filter for the response to a changed request, which asks for a stream.
    fn strip(&self, response: &Response<Incoming>, injection: &InjectionPolicy) -> Option<UsageStrip> {
        let headers = response.headers();
        let content_type = headers::text(headers, &CONTENT_TYPE);
        let framing = Framing::of_head(content_type, headers.contains_key(CONTENT_LENGTH), true);
        if framing == Framing::Document || !response.status().is_success() {
            return None;
        }
        if usage::is_plain(headers) {
            return Some(UsageStrip::new(framing));
        }
        self.relay.metrics.usage_unstripped.inc();
        injection.disable(&self.route.name, "it compresses its responses although asked not to");
        None
    }

    fn deliver(mut self, (response, slot): Delivered, strip: Option<UsageStrip>) -> Response<ResponseBody> {
        if self.destination.reachability.found() {
            tracing::info!(upstream = %self.route.name, "the upstream answers again");
        }
        self.outcome.outcome = Outcome::answered;
        let (mut parts, body) = response.into_parts();
        if let Some(call) = &self.call {
            let text = |name| headers::text(&parts.headers, &name).map(Arc::from);
            call.tap().response_head(ResponseHead {
                status: parts.status.as_u16(),
                content_type: text(CONTENT_TYPE),
                content_encoding: text(CONTENT_ENCODING),
                has_length: parts.headers.contains_key(CONTENT_LENGTH),
            });
        }
        parts.version = Version::HTTP_11;
        headers::strip_hop_by_hop(&mut parts.headers);
        if strip.is_some() {
            parts.headers.remove(CONTENT_LENGTH);
        }
        let body = ResponseBody::forward(
            body,
            strip,
            self.call.take(),
            (slot, self.running),
            self.relay.drains.clone(),
        );
        Response::from_parts(parts, body)
    }

    fn fail(mut self, error: &UpstreamError) -> Response<ResponseBody> {
        self.outcome.outcome = match error {
            UpstreamError::RequestBody => return self.client_broke_off(),
            UpstreamError::Reset(_) => Outcome::upstream_failed,
            UpstreamError::Connect(_) | UpstreamError::ConnectTimeout(_) => Outcome::connect_failed,
        };
        if let Some(call) = &self.call {
            call.end(EndOfStream::ProviderError, Some(error.class()));
        }
        let message = format!("ledgerline-agent got no answer from the upstream {}: {error}", self.route);
        if self.destination.reachability.lost() {
            tracing::warn!(
                upstream = %self.route.name,
                url = %self.route,
                class = error.class(),
                %error,
                "no answer from the upstream; its calls fail with 502 until it is back"
            );
        }
        refusal(StatusCode::BAD_GATEWAY, error.class(), &message, self.route.dialect)
    }

    /// The client broke off within its request. Nobody is left to read the response.
    fn client_broke_off(self) -> Response<ResponseBody> {
        if let Some(call) = &self.call {
            call.end(EndOfStream::ClientGone, None);
        }
        let message = "the request ended before its body was complete";
        refusal(StatusCode::BAD_REQUEST, "incomplete_request", message, self.route.dialect)
    }
}
