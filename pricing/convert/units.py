"""Our units, and which of the catalogue's price keys prices each.

The catalogue counts inclusively: audio read from a cache is in four of its counts, and the most special one with a price takes
it. Here every unit is priced by the first key of its list that a price has.
"""

INPUT, OUTPUT = "input_mtok", "output_mtok"
READ, WRITE = "cache_read_mtok", "cache_write_mtok"

# Unit: (our key of a price, their price keys from the most special one).
UNITS = {
    "input_uncached": ("per_million", [INPUT]),
    "cache_read": ("per_million", [READ, INPUT]),
    "cache_read_audio": ("per_million", ["cache_audio_read_mtok", READ, "input_audio_mtok", INPUT]),
    "cache_read_image": ("per_million", ["cache_image_read_mtok", READ, "input_image_mtok", INPUT]),
    "cache_read_video": ("per_million", ["cache_video_read_mtok", READ, "input_video_mtok", INPUT]),
    "cache_write_5m": ("per_million", ["cache_write_5m_mtok", WRITE, INPUT]),
    "cache_write_30m": ("per_million", [WRITE, INPUT]),
    "cache_write_1h": ("per_million", ["cache_write_1h_mtok", WRITE, INPUT]),
    "input_audio": ("per_million", ["input_audio_mtok", INPUT]),
    "input_image": ("per_million", ["input_image_mtok", INPUT]),
    "input_video": ("per_million", ["input_video_mtok", INPUT]),
    "tool_use_prompt": ("per_million", ["input_tool_mtok", INPUT]),
    "output_text": ("per_million", [OUTPUT]),
    "output_reasoning": ("per_million", ["output_reasoning_mtok", OUTPUT]),
    "output_audio": ("per_million", ["output_audio_mtok", OUTPUT]),
    "output_image": ("per_million", ["output_image_mtok", OUTPUT]),
    "output_video": ("per_million", ["output_video_mtok", OUTPUT]),
    "output_citation": ("per_million", ["output_citation_mtok", OUTPUT]),
    "character": ("per_million", ["input_mchars"]),
    "request": ("per_thousand", ["requests_kcount"]),
    "web_search": ("per_thousand", ["web_searches_kcount"]),
    "storage_search": ("per_thousand", ["storage_searches_kcount"]),
    "page": ("per_thousand", ["input_document_kpages"]),
    "annotated_page": ("per_thousand", ["input_annotated_document_kpages", "input_document_kpages"]),
    "text_message": ("per_thousand", ["input_text_messages_kcount"]),
    "input_audio_ms": ("per_hour", ["input_audio_hours", "audio_hours"]),
    "output_audio_ms": ("per_hour", ["output_audio_hours", "audio_hours"]),
}

PER = {"per_million": 1_000_000, "per_thousand": 1_000, "per_hour": 3_600_000, "each": 1}

KNOWN_KEYS = {key for _, keys in UNITS.values() for key in keys}

# Which of their counts a unit is part of.
COUNTS = {
    "input_uncached": ["input_tokens"],
    "cache_read": ["input_tokens", "cache_read_tokens"],
    "cache_read_audio": ["input_tokens", "cache_read_tokens", "input_audio_tokens", "cache_audio_read_tokens"],
    "cache_read_image": ["input_tokens", "cache_read_tokens", "input_image_tokens", "cache_image_read_tokens"],
    "cache_read_video": ["input_tokens", "cache_read_tokens", "input_video_tokens", "cache_video_read_tokens"],
    "cache_write_5m": ["input_tokens", "cache_write_tokens", "cache_write_5m_tokens"],
    "cache_write_30m": ["input_tokens", "cache_write_tokens"],
    "cache_write_1h": ["input_tokens", "cache_write_tokens", "cache_write_1h_tokens"],
    "input_audio": ["input_tokens", "input_audio_tokens"],
    "input_image": ["input_tokens", "input_image_tokens"],
    "input_video": ["input_tokens", "input_video_tokens"],
    "tool_use_prompt": ["input_tokens", "input_tool_tokens"],
    "output_text": ["output_tokens"],
    "output_reasoning": ["output_tokens", "output_reasoning_tokens"],
    "output_audio": ["output_tokens", "output_audio_tokens"],
    "output_image": ["output_tokens", "output_image_tokens"],
    "output_video": ["output_tokens", "output_video_tokens"],
    "output_citation": ["output_tokens", "output_citation_tokens"],
    "character": ["input_characters"],
    "request": [],
    "web_search": ["web_searches"],
    "storage_search": ["storage_searches"],
    "page": ["input_document_pages"],
    "annotated_page": ["input_document_pages", "input_annotated_document_pages"],
    "text_message": ["input_text_messages"],
    "input_audio_ms": ["audio_seconds", "input_audio_seconds"],
    "output_audio_ms": ["audio_seconds", "output_audio_seconds"],
}

INPUT_TOKENS = [unit for unit, counts in COUNTS.items() if "input_tokens" in counts]
