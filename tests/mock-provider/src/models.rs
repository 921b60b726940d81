//! Pure. The lists of models that both providers answer to `GET /v1/models`.

/// Two models of the provider whose client asks.
pub fn list(is_anthropic: bool) -> String {
    if is_anthropic {
        let entry = |id: &str, name: &str, at: &str| {
            format!(r#"{{"type":"model","id":"{id}","display_name":"{name}","created_at":"{at}"}}"#)
        };
        return format!(
            r#"{{"data":[{},{}],"has_more":false,"first_id":"claude-haiku-4-5-20251001","last_id":"claude-sonnet-4-5-20250929"}}"#,
            entry("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15T00:00:00Z"),
            entry("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z"),
        );
    }
    let entry =
        |id: &str, at: u64| format!(r#"{{"id":"{id}","object":"model","created":{at},"owned_by":"system"}}"#);
    let compact = format!(
        r#"{{"object":"list","data":[{},{}]}}"#,
        entry("gpt-4.1-mini", 1_744_318_173),
        entry("gpt-5.5", 1_776_900_000)
    );
    format!("{}\n", crate::json::indent(&compact, 2))
}
