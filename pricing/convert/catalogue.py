"""What the catalogue cannot know: our names of its providers, their hosts, and its few entries that need a hand.

Tables only. A table that names something the catalogue no longer has fails the conversion (see convert.py), so that none of
them outlives its reason.
"""

from dataclasses import dataclass, field

# A unit without a price of its own is billed there as the nearest unit above it. Our units are disjoint, so the same is said
# unit by unit. Cached audio, images and video are told apart by the providers of REALTIME only.
TREE = {
    "cache_read": "input_uncached",
    "cache_write_5m": "input_uncached",
    "cache_write_1h": "input_uncached",
    "input_audio": "input_uncached",
    "input_image": "input_uncached",
    "input_video": "input_uncached",
    "tool_use_prompt": "input_uncached",
    "output_audio": "output_text",
    "output_image": "output_text",
    "output_video": "output_text",
    "output_citation": "output_text",
}
CACHED_MEDIA = {
    "cache_read_audio": "cache_read",
    "cache_read_image": "cache_read",
    "cache_read_video": "cache_read",
}


@dataclass
class Named:
    """One provider of the catalogue as a file of ours."""

    name: str
    hosts: list = field(default_factory=list)
    names_within: list = field(default_factory=list)
    billed_as: dict = field(default_factory=lambda: dict(TREE))
    # Words that are nothing special, and words that stand for others, by condition; as in our files.
    standard: dict = field(default_factory=dict)
    same_as: dict = field(default_factory=dict)
    # The price of a cache write whose life the catalogue does not state.
    cache_write: str = "cache_write_5m"
    # Whether what `billed_as` cannot say is written with the model.
    falls_back: bool = True


# Bedrock's geographic profiles; `global.` is no more than another price and stays in the name.
BEDROCK_PLACES = ["us", "eu", "apac", "au", "jp", "in", "us-gov"]
VERTEX_WITHIN = [
    "models/{name}",
    "publishers/*/models/{name}",
    "projects/*/models/{name}",
    "anthropic/{name}",
    "google/{name}",
]

PROVIDERS = {
    # Kept by hand as well, where a unit without a price stays unpriced. `billed_as` holds for a provider in all layers, so these
    # say no more than the files kept by hand do.
    "anthropic": Named("anthropic", ["api.anthropic.com"], billed_as={}, falls_back=False),
    "openai": Named(
        "openai",
        ["api.openai.com", "*.api.openai.com"],
        billed_as={"input_image": "input_uncached", "cache_write_5m": "cache_write_30m"},
        cache_write="cache_write_30m",
        falls_back=False,
    ),
    "azure": Named(
        "azure.ai.openai",
        ["*.openai.azure.com", "*.cognitiveservices.azure.com", "*.services.ai.azure.com", "*.azure-api.net"],
        billed_as={},
        falls_back=False,
        standard={"region": "any"},
    ),
    "openai-decisions": Named("openai-decisions"),
    "aws": Named(
        "aws.bedrock",
        ["bedrock-runtime.*.amazonaws.com"],
        ["arn:aws:bedrock:*/{name}", "arn:aws-us-gov:bedrock:*/{name}", "bedrock/{name}", "converse/{name}"]
        + [place + ".{name}" for place in BEDROCK_PLACES],
        # The catalogue's price by place is in the name.
        standard={"region": "any"},
    ),
    "google": Named(
        "gcp.gemini",
        ["generativelanguage.googleapis.com"],
        VERTEX_WITHIN,
        billed_as={**TREE, **CACHED_MEDIA},
        standard={"region": "any", "service_tier": "[default, on_demand, ON_DEMAND]"},
        same_as={"service_tier": "{ ON_DEMAND_FLEX: flex, ON_DEMAND_PRIORITY: priority }"},
    ),
    "x-ai": Named("x_ai", ["api.x.ai"]),
    "mistral": Named("mistral_ai", ["api.mistral.ai"]),
    "moonshotai": Named("moonshot_ai", ["api.moonshot.ai", "api.moonshot.cn"]),
    "arcee": Named("arcee", ["api.arcee.ai"]),
    "avian": Named("avian", ["api.avian.io"]),
    "baseten": Named("baseten", ["inference.baseten.co"]),
    "cerebras": Named("cerebras", ["api.cerebras.ai"]),
    "cloudflare": Named("cloudflare", ["api.cloudflare.com"]),
    "cohere": Named("cohere", ["api.cohere.ai", "api.cohere.com"]),
    "cursor": Named("cursor", ["api.cursor.com"]),
    "databricks": Named(
        "databricks", ["*.cloud.databricks.com", "*.azuredatabricks.net", "*.gcp.databricks.com"]
    ),
    "deepseek": Named("deepseek", ["api.deepseek.com"]),
    "doubleword": Named("doubleword", ["api.doubleword.ai"]),
    "elevenlabs": Named("elevenlabs", ["api.elevenlabs.io", "*.elevenlabs.io"]),
    "fireworks": Named("fireworks", ["api.fireworks.ai"]),
    "github-copilot": Named("github-copilot", ["api.githubcopilot.com"]),
    "groq": Named("groq", ["api.groq.com"], standard={"service_tier": "[default, on_demand]"}),
    "meta": Named("meta", ["api.meta.ai"]),
    "minimax": Named(
        "minimax",
        ["api.minimax.io", "api.minimaxi.com", "api.minimax.com", "api.minimaxi.io"],
        ["minimax/{name}", "MiniMaxAI/{name}"],
    ),
    "modal": Named("modal", ["*.modal.run", "*.modal.direct"]),
    "novita": Named("novita", ["api.novita.ai"]),
    "openrouter": Named("openrouter", ["openrouter.ai", "api.openrouter.ai"]),
    "ovhcloud": Named("ovhcloud", ["oai.endpoints.kepler.ai.cloud.ovh.net"]),
    # The depth of a search is stated in a word of its own there; those that no price names cost what the price page says first.
    "perplexity": Named("perplexity", ["api.perplexity.ai"], standard={"search_context": "any"}),
    "quicksilverpro": Named("quicksilverpro", ["api.quicksilverpro.io"]),
    "together": Named("together", ["api.together.xyz", "api.together.ai"]),
    "typesafe": Named("typesafe", ["api.typesafe.ai"]),
    "voyageai": Named("voyageai", ["api.voyageai.com"]),
    "zai": Named("zai", ["api.z.ai"]),
    "zhipuai": Named("zhipuai", ["open.bigmodel.cn"]),
    # One host for all of them; the path tells them apart, so a host belongs to none.
    **{
        name: Named(name)
        for name in (
            "huggingface_cerebras huggingface_fireworks-ai huggingface_groq huggingface_hyperbolic huggingface_nebius "
            "huggingface_novita huggingface_nscale huggingface_ovhcloud huggingface_publicai huggingface_sambanova "
            "huggingface_together"
        ).split()
    },
}

# Providers that the conventions tell apart and the catalogue does not.
HEIRS = {
    "gcp.vertex_ai": ("gcp.gemini", ["aiplatform.googleapis.com", "*-aiplatform.googleapis.com"]),
    "gcp.gen_ai": ("gcp.gemini", []),
    "azure.ai.inference": ("azure.ai.openai", ["*.models.ai.azure.com", "models.inference.ai.azure.com"]),
}

# Their words for how a call was served, in ours.
CONDITIONS = {
    "processing": "service_tier",
    "service_tier": "service_tier",
    "speed": "speed",
    "route": "route",
    "search_type": "search_context",
}

# No price there is 0. It is a price only where something says that nothing is billed; a name that ends in `:free` does.
FREE = {
    ("github-copilot", "gpt-3.5-turbo"): "included in the subscription",
    ("github-copilot", "gpt-4.1"): "included in the subscription",
    ("github-copilot", "gpt-4o"): "included in the subscription",
    ("github-copilot", "gpt-4o-mini"): "included in the subscription",
    ("google", "gemma-3"): "free of charge",
    ("google", "gemma-3n"): "free of charge",
    ("google", "gemma-4-26b-a4b-it"): "free of charge",
    ("google", "gemma-4-31b-it"): "free of charge",
    ("openai", "moderation"): "free of charge",
}

NO_PRICE = "The catalogue states no price and does not say that it is free."
INHERITED = "The same price as OpenAI's entry, which Azure inherits here, without its history and tiers."
LEFT_OUT = {
    **{
        ("azure", model): INHERITED
        for model in "ada o1 o1-mini o1-preview o3-2025-04-16 o3-mini o4-mini text-embedding-3-large text-embedding-3-small".split()
    },
    ("cerebras", "qwen-3-coder-480b"): NO_PRICE,
    ("huggingface_together", "ServiceNow-AI/Apriel-1.6-15b-Thinker"): NO_PRICE,
    ("huggingface_together", "prism-ml/Ternary-Bonsai-27B-AWQ-4bit"): NO_PRICE,
    ("huggingface_together", "prism-ml/Ternary-Bonsai-27B-gguf"): NO_PRICE,
    ("openrouter", "gemini-2.5-pro-exp-03-25"): NO_PRICE,
    ("openrouter", "google/gemini-flash-1.5-8b-exp"): NO_PRICE,
    ("openrouter", "google/lyria-3-clip-preview"): NO_PRICE,
    ("openrouter", "google/lyria-3-pro-preview"): NO_PRICE,
    ("openrouter", "stealth/crouton-alpha"): NO_PRICE,
    ("openai", "gpt-4o-mini-2024-07-18.ft-"): "Azure's way to write a fine-tuned model; the name is looked up as"
    " ft:gpt-4o-mini-2024-07-18, which has the same price.",
}

# Fine-tuned names are looked up under their base alone: those that the catalogue's patterns stand for.
FINE_TUNED = {
    ("openai", "ft:gpt-3.5-turbo"): ["", "-0125", "-0613", "-1106"],
    ("openai", "ft:gpt-4-0"): ["314", "613"],
    ("openai", "ft:gpt-4o-2024-"): ["05-13", "08-06", "11-20"],
    ("openai", "ft:gpt-4o-mini-2024-"): ["07-18"],
}
# A key is a name, and no base without its snapshot is one of a fine-tuned model.
RENAMED = {
    ("openai", "ft:gpt-3.5-turbo-"): "ft:gpt-3.5-turbo-0125",
    ("openai", "ft:gpt-4o"): "ft:gpt-4o-2024-08-06",
    ("openai", "ft:gpt-4o-mini"): "ft:gpt-4o-mini-2024-07-18",
}

# A snapshot or a preview of a model whose other forms (speech) have prices of their own.
NOT_SPEECH = ["", "-{date}", "-latest", "-0*", "-1*", "-exp*", "-preview", "-preview-0*", "-preview-1*", "@*"]

# Clauses that our names cannot say as they stand.
BY_HAND = {
    ("google", r"gemini-2.5-flash-lite-preview & ^(?!.*-[tT][tT][sS](?:$|-))"): [
        "gemini-2.5-flash-lite-preview" + end for end in ["", "-{date}", "-0*", "-1*"]
    ],
    ("google", r"gemini-2.5-pro & ^(?!.*-[tT][tT][sS](?:$|-))"): ["gemini-2.5-pro" + end for end in NOT_SPEECH],
    ("google", r"gemini-3.8-flash & ^(?!.*-[tT][tT][sS](?:$|-))"): ["gemini-3.8-flash" + end for end in NOT_SPEECH],
    ("google", r"^gemini-3\.5-flash-\d"): [f"gemini-3.5-flash-{digit}*" for digit in range(10)],
    ("google", r"^gemini-4-argon-\d"): [f"gemini-4-argon-{digit}*" for digit in range(10)],
    ("typesafe", r"^(typesafe/)?jev-1\.13(-\d{8})?$"): [
        before + "jev-1.13" + end for before in ["", "typesafe/"] for end in ["", "-{date}"]
    ],
    ("typesafe", r"^(typesafe/)?jev-1\.14(-\d{8})?$"): [
        before + "jev-1.14" + end for before in ["", "typesafe/"] for end in ["", "-{date}"]
    ],
    # Square brackets are no letters of a name; a star stands for each.
    **{
        ("cursor", rf"^{model.replace('.', chr(92) + '.')}\[fast={word}\]$"): [f"{model}*fast={word}*"]
        for model in ["composer-2.5", "grok-4.5", "grok-4.6", "grok-4.7"]
        for word in ["false", "true"]
    },
}

# A minimum that stands in the package's code and not in its data.
MINIMUM = {
    ("groq", "whisper-large-v3"): {"input_audio_ms": 10000},
    ("groq", "whisper-large-v3-turbo"): {"input_audio_ms": 10000},
}
