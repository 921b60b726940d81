//! What is wrong with a file is told before a port opens, all of it, and in words that help.

use ledgerline_process::config::parse;

use super::*;

fn refused(text: &str) -> String {
    parse::<Config>("agent.yaml", text).map(drop).unwrap_err().to_string()
}

#[test]
fn the_example_file_is_valid_and_shows_the_defaults() {
    let text = include_str!("../../ledgerline-agent.example.yaml");
    let example = parse::<Config>("ledgerline-agent.example.yaml", text).unwrap();
    let shortest = "upstreams: [{name: a, prefix: /, url: \"http://b\"}]";
    let defaults = parse::<Config>("agent.yaml", shortest).unwrap();
    assert_eq!(example.upstreams.len(), 2);
    let shown = |settings: &Settings| {
        let Settings { listen, admin_listen, identity, relay, export, log, .. } = settings;
        format!(
            "{listen} {admin_listen} {:?} {:?} {} {:?} {:?} {:?} {} {} {:?} {} {:?} {:?} {log:?}",
            settings.admin_hosts,
            identity.headers,
            relay.threads,
            relay.connect_timeout,
            relay.drain_timeout,
            relay.roots,
            relay.tls.is_none(),
            export.collector,
            export.credential,
            export.tls.is_none(),
            export.compression,
            (export.spool_bytes_max, export.flush_timeout),
        )
    };
    assert_eq!(shown(&example), shown(&defaults));
    assert!(example.upstreams.iter().chain(&defaults.upstreams).all(|upstream| upstream.usage_injection));
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "
listen: 0.0.0.0:4100
usage_injection: true
upstreams:
  - {name: a b, prefix: openai, url: ftp://x}
  - {name: one, prefix: /x, url: https://user:secret@host, dialect: openai}
  - {name: one, prefix: /x/, url: https://host?key=1, dialect: opnai, http_version: http3}
identity_headers: {team: authorization, user: x-ledgerline-session}
relay: {threads: 0, roots: mine, connect_timeout_ms: 0, ca_file: /does/not/exist.pem}
export: {collector: collector, compression: lz4, spool_bytes_max: 5, token: {file: /no/token}, ca_file: /no/ca.pem}
admin: {hosts: ['http://agent']}
tls: {cert_file: /no/cert.pem, key_file: /no/key.pem}
log: {level: shout=loud}
";
    let error = refused(text);
    for part in [
        "- usage_injection: is not a key",
        "- listen: 0.0.0.0:4100 can be reached",
        "- upstreams[0].name: must be made of",
        "- upstreams[0].prefix: `openai` must be a path",
        "- upstreams[0].url: `ftp://x` must start with",
        "- upstreams[1].url: `https://user:secret@host` must name a host",
        "- upstreams[2].prefix: `/x/` is taken",
        "- upstreams[2].name: `one` is taken",
        "- upstreams[2].url: ",
        "- upstreams[2].dialect: unknown dialect `opnai`; known are openai, ",
        "- upstreams[2].http_version: unknown variant `http3`, expected ",
        "- relay.roots: unknown variant `mine`, expected ",
        "- export.compression: unknown variant `lz4`, expected `none` or `zstd`",
        "- identity_headers.team: `authorization` is needed",
        "- identity_headers.session: `x-ledgerline-session` is used twice",
        "- relay.threads: ",
        "- relay.connect_timeout_ms: ",
        "- relay.ca_file: cannot read certificates from /does/not/exist.pem",
        "- export.collector: ",
        "- export.spool_bytes_max: ",
        "- export.token: cannot read /no/token",
        "- export.ca_file: cannot read certificates from /no/ca.pem",
        "- admin.hosts[0]: ",
        "- tls.cert_file: cannot read certificates from /no/cert.pem",
        "- log.level: ",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn headers_that_providers_need_cannot_say_who_calls() {
    for name in [
        "authorization",
        "Api-Key",
        "x-api-key",
        "x-goog-api-key",
        "cookie",
        "proxy-authorization",
        "anthropic-version",
        "anthropic-beta",
        "openai-organization",
        "openai-project",
        "user-agent",
        "accept-encoding",
    ] {
        let text = format!(
            "upstreams: [{{name: a, prefix: /, url: \"http://b\"}}]\nidentity_headers: {{user: {name}}}"
        );
        let error = refused(&text);
        assert!(error.contains("- identity_headers.user: `"), "{name}: {error}");
    }
    let good = "upstreams: [{name: a, prefix: /, url: \"http://b\"}]\nidentity_headers: {user: x-user}";
    parse::<Config>("agent.yaml", good).unwrap();
}

#[test]
fn a_base_path_that_clients_send_themselves_is_refused() {
    let check = |url: &str, dialect: &str| {
        let text = format!("upstreams: [{{name: a, prefix: /a, url: \"{url}\", dialect: {dialect}}}]");
        parse::<Config>("agent.yaml", &text).map(drop).map_err(|error| error.to_string())
    };
    for url in ["https://api.openai.com/v1", "https://gateway/openai/v1/"] {
        for dialect in ["openai", "anthropic"] {
            let error = check(url, dialect).unwrap_err();
            assert!(error.contains("- upstreams[0].url: ") && error.contains("ends with /a/v1"), "{error}");
        }
        check(url, "none").unwrap();
    }
    check("https://gateway/openai", "openai").unwrap();
    check("https://gateway/notv1", "openai").unwrap();
}

#[test]
fn no_duration_is_so_long_that_the_clock_overflows() {
    let text = "
upstreams: [{name: a, prefix: /, url: \"http://b\"}]
relay: {connect_timeout_ms: 18446744073709551615, drain_timeout_seconds: 18446744073709551615}
export: {collector: \"http://c:4317/v1/traces\", flush_timeout_seconds: 18446744073709551615}
";
    let error = refused(text);
    for part in [
        "- relay.connect_timeout_ms: must be from 1 to 60000",
        "- relay.drain_timeout_seconds: must be at most 86400",
        "- export.flush_timeout_seconds: must be at most 86400",
        "- export.collector: `http://c:4317/v1/traces` must end with the port",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn an_empty_file_says_what_is_missing() {
    let error = refused("");
    assert!(error.contains("upstreams: is empty") && error.contains("dialect is one of openai"), "{error}");
}

#[test]
fn a_dialect_is_found_by_its_name_and_a_wrong_one_lists_the_known() {
    let check = |dialect: &str| {
        let text = format!("upstreams: [{{name: a, prefix: /, url: \"http://b\"{dialect}}}]");
        parse::<Config>("agent.yaml", &text).map(|mut settings| settings.upstreams.remove(0).route)
    };
    let route = check(", dialect: anthropic").unwrap();
    assert_eq!((route.dialect.unwrap().name, &*route.provider), ("anthropic", "anthropic"));
    let groq = check(", dialect: openai, provider: groq").unwrap();
    assert_eq!((groq.dialect.unwrap().name, &*groq.provider), ("openai", "groq"));
    for none in ["", ", dialect: none"] {
        let route = check(none).unwrap();
        assert!(route.dialect.is_none() && route.provider.is_empty());
    }
    let error = check(", dialect: OpenAI").unwrap_err().to_string();
    let listed = error.split_once("unknown dialect `OpenAI`; known are ").unwrap().1;
    for known in ["openai, ", "anthropic, ", "none"] {
        assert!(listed.contains(known), "{error}");
    }
}
