//! Token counts from bytes, for calls whose provider stated none. Pure.
//!
//! One token per four bytes of UTF-8, rounded up. Why no tokenizer: each vendor has its own, some are secret, the
//! tables are megabytes and the work is milliseconds on the CPU that relays, all for calls that are few and flagged
//! `estimated`. The error: English prose and code run at 3.5 to 4.5 bytes a token, so the estimate is within about
//! 20 % there; for languages written in three-byte characters it is up to 2 times too low, for text that tokenizes badly
//! (digits, base64) up to 2 times too low as well. It leaves out what the text does not show: images, audio, hidden reasoning and
//! the few tokens of framing a provider adds per message. It never replaces a provider's count.

/// Bytes of UTF-8 taken for one token.
pub const BYTES_PER_TOKEN: u64 = 4;

/// The estimate for a text of that many bytes.
#[must_use]
pub const fn tokens(text_bytes: u64) -> u64 {
    text_bytes.div_ceil(BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn any_text_at_all_is_at_least_one_token() {
        for (bytes, expected) in [(0, 0), (1, 1), (4, 1), (5, 2), (4_000, 1_000)] {
            assert_eq!(tokens(bytes), expected);
        }
        assert_eq!(tokens(u64::MAX), u64::MAX / 4 + 1);
    }
}
