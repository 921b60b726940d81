//! The providers' names: one each, that of OpenTelemetry's list where it has one. Pure.

/// A provider and what else senders call it, in lower case: older names, package names, hosts.
const NAMES: &[(&str, &str)] = &[
    ("openai", "api.openai.com text-completion-openai"),
    ("anthropic", "api.anthropic.com"),
    (
        "azure.ai.openai",
        "az.ai.openai azure azure-openai azure_openai azureopenai azure.openai azure_ai_openai",
    ),
    ("azure.ai.inference", "az.ai.inference azure_ai azure-ai azure_ai_inference azure-ai-inference"),
    ("aws.bedrock", "amazon-bedrock amazon_bedrock bedrock aws-bedrock aws_bedrock aws bedrock_converse"),
    (
        "gcp.vertex_ai",
        "vertex_ai vertexai vertex google-vertex google_vertexai google.vertex google_anthropic_vertex \
         gcp.vertex.agent aiplatform.googleapis.com",
    ),
    (
        "gcp.gemini",
        "gemini google.generative-ai google-generative-ai google-gla generativelanguage.googleapis.com",
    ),
    // Either of the two.
    ("gcp.gen_ai", "google google_genai google-genai google_generativeai google_ai"),
    ("x_ai", "xai grok api.x.ai x-ai"),
    ("mistral_ai", "mistralai mistral api.mistral.ai mistral-ai"),
    ("cohere", "api.cohere.com api.cohere.ai cohere_chat"),
    ("groq", "api.groq.com"),
    ("deepseek", "api.deepseek.com"),
    ("perplexity", "api.perplexity.ai"),
    ("ibm.watsonx.ai", "watsonx ibm-watsonx watsonx.ai ibm.watsonx"),
    ("moonshot_ai", "moonshot moonshotai api.moonshot.ai"),
];

/// What the Vercel AI SDK appends to the name: which of a provider's interfaces was used.
const INTERFACES: &str = "chat responses completion completions messages embedding embeddings image speech \
    transcription generative-ai";

/// The one name of the provider that a sender calls so; what nobody knows stays as it is.
pub(super) fn canonical(stated: &str) -> &str {
    known(stated)
        .or_else(|| {
            let (provider, interface) = stated.rsplit_once('.')?;
            INTERFACES.split_ascii_whitespace().find(|known| *known == interface)?;
            known(provider)
        })
        .unwrap_or(stated)
}

fn known(stated: &str) -> Option<&'static str> {
    let is_meant = |name: &str| name.eq_ignore_ascii_case(stated);
    // Almost all senders use the list's own names.
    let by_name = NAMES.iter().find(|(name, _)| is_meant(name));
    by_name
        .or_else(|| NAMES.iter().find(|(_, others)| others.split_ascii_whitespace().any(is_meant)))
        .map(|(name, _)| *name)
}

/// Who is meant where a sender names no provider, by the beginning of its scope's name.
const PROVIDERS_OF_SCOPES: [(&str, &str); 1] = [("com.anthropic.", "anthropic")];

/// The provider that a sender of this scope calls when it names none.
pub(super) fn of_scope(scope_name: &str) -> &'static str {
    let found = PROVIDERS_OF_SCOPES.iter().find(|(scope, _)| scope_name.starts_with(scope));
    found.map_or("", |(_, provider)| provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_provider_is_one_name() {
        for (stated, name) in [
            ("openai", "openai"),
            ("OpenAI", "openai"),
            ("openai.chat", "openai"),
            ("openai.responses", "openai"),
            ("api.openai.com", "openai"),
            ("Anthropic", "anthropic"),
            ("anthropic.messages", "anthropic"),
            ("amazon-bedrock", "aws.bedrock"),
            ("aws.bedrock", "aws.bedrock"),
            ("google.generative-ai", "gcp.gemini"),
            ("gcp.gemini", "gcp.gemini"),
            ("gcp.gen_ai", "gcp.gen_ai"),
            ("google", "gcp.gen_ai"),
            ("gcp.vertex.agent", "gcp.vertex_ai"),
            ("google.vertex.chat", "gcp.vertex_ai"),
            ("vertex_ai", "gcp.vertex_ai"),
            ("az.ai.openai", "azure.ai.openai"),
            ("azure-openai.chat", "azure.ai.openai"),
            ("az.ai.inference", "azure.ai.inference"),
            ("mistralai", "mistral_ai"),
            ("mistral.chat", "mistral_ai"),
            ("grok", "x_ai"),
            ("xai", "x_ai"),
            ("Acme Cloud", "Acme Cloud"),
            ("acme.chat", "acme.chat"),
            ("", ""),
        ] {
            assert_eq!(canonical(stated), name, "{stated}");
        }
    }

    #[test]
    fn no_spelling_means_two_providers() {
        let all: Vec<&str> = NAMES
            .iter()
            .flat_map(|(name, others)| [*name].into_iter().chain(others.split_ascii_whitespace()))
            .collect();
        for (index, name) in all.iter().enumerate() {
            assert!(!all[..index].contains(name) && *name == name.to_ascii_lowercase(), "{name}");
        }
    }

    #[test]
    fn claude_code_calls_anthropic() {
        assert_eq!(
            (of_scope("com.anthropic.claude_code.tracing"), of_scope("langfuse-sdk")),
            ("anthropic", "")
        );
    }
}
