//! JSON that others wrote and that strict readers refuse. Pure.

pub mod lenient;

use memchr::memchr;

/// Replaces each half of a surrogate pair without its other half by U+FFFD, as Unicode advises. JavaScript and Python write
/// and read such a half, where a text was cut in a character. True if there was one.
pub fn mend_surrogates(json: &mut [u8]) -> bool {
    let unit = |json: &[u8], at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut at, mut is_mended) = (0, false);
    while let Some(found) = memchr(b'\\', &json[at.min(json.len())..]) {
        at += found;
        at += match unit(json, at) {
            None => 2,
            Some(0xD800..=0xDBFF) if matches!(unit(json, at + 6), Some(0xDC00..=0xDFFF)) => 12,
            Some(0xD800..=0xDFFF) => {
                json[at + 2..at + 6].copy_from_slice(b"fffd");
                is_mended = true;
                6
            }
            Some(_) => 6,
        };
    }
    is_mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halves_of_pairs_are_mended() {
        for (text, mended) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\uDE00 x""#, r#""\ufffd x""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            // An escaped backslash, and no escape at all.
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""ud83d \u00e9""#, r#""ud83d \u00e9""#),
            (r#""\ud83"#, r#""\ud83"#),
            ("\\", "\\"),
            ("", ""),
        ] {
            let mut bytes = text.as_bytes().to_vec();
            assert_eq!(
                (mend_surrogates(&mut bytes), bytes.as_slice()),
                (text != mended, mended.as_bytes()),
                "{text}"
            );
        }
    }
}
