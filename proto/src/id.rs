//! Trace and span identities as W3C Trace Context defines them: 16 and 8 bytes, never all zero.

use std::fmt;

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// From its bytes; `None` when all are zero, which Trace Context calls invalid.
            pub fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                bytes.iter().any(|byte| *byte != 0).then_some(Self(bytes))
            }

            /// From bytes of any length; `None` unless it is exactly the right length and not all zero.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().and_then(Self::from_bytes)
            }

            /// From lower or upper case hexadecimal of exactly the right length.
            pub fn from_hex(text: &str) -> Option<Self> {
                let is_hex = text.len() == 2 * $bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
                Self::from_slice(&number.to_be_bytes()[16 - $bytes..])
            }

            /// Its bytes.
            pub const fn bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            /// Lower case hexadecimal.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

identity!(
    /// Identity of a trace, 16 bytes.
    TraceId,
    16
);
identity!(
    /// Identity of a span, 8 bytes.
    SpanId,
    8
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_both_ways_and_refuses_the_rest() {
        let text = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(TraceId::from_hex(text).unwrap().to_string(), text);
        assert_eq!(TraceId::from_hex(&text.to_uppercase()).unwrap().to_string(), text);
        assert_eq!(SpanId::from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]).unwrap().to_string(), "0000000000000001");
        for text in
            ["", "00", "0000000000000000", "00f067aa0ba902bg", "+0f067aa0ba902b7", "00f067aa0ba902b70"]
        {
            assert_eq!(SpanId::from_hex(text), None, "{text}");
        }
        assert_eq!(SpanId::from_slice(&[1; 7]), None);
    }
}
