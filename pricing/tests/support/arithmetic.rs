//! Works out the arithmetic of a bill: decimals, `+ * / ( )`, and `M` for a million, in exact fractions. It shares
//! nothing with the engine on purpose; a mistake would have to be made twice.

/// The value of a text in US dollars, in pico-dollars, a half to the even neighbour.
pub fn pico_usd(text: &str) -> i128 {
    let tokens: Vec<char> = text.chars().filter(|letter| !letter.is_whitespace() && *letter != '_').collect();
    let mut reader = Reader { tokens, at: 0 };
    let (numerator, denominator) = reader.sum();
    assert_eq!(reader.at, reader.tokens.len(), "`{text}` cannot be read to its end");
    let (numerator, denominator) = reduced(numerator, denominator);
    let (numerator, denominator) = match 1_000_000_000_000 % denominator {
        0 => (numerator * (1_000_000_000_000 / denominator), 1),
        _ => reduced(numerator.checked_mul(1_000_000_000_000).unwrap(), denominator),
    };
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    let up = rest * 2 > denominator || (rest * 2 == denominator && whole % 2 == 1);
    whole + i128::from(up)
}

struct Reader {
    tokens: Vec<char>,
    at: usize,
}

type Fraction = (i128, i128);

impl Reader {
    fn accept(&mut self, letter: char) -> bool {
        let found = self.tokens.get(self.at) == Some(&letter);
        self.at += usize::from(found);
        found
    }

    fn sum(&mut self) -> Fraction {
        let mut total = self.product();
        while self.accept('+') {
            let (numerator, denominator) = self.product();
            total = reduced(total.0 * denominator + numerator * total.1, total.1 * denominator);
        }
        total
    }

    fn product(&mut self) -> Fraction {
        let mut total = self.factor();
        loop {
            if self.accept('*') {
                let (numerator, denominator) = self.factor();
                total = reduced(total.0 * numerator, total.1 * denominator);
            } else if self.accept('/') {
                let (numerator, denominator) = self.factor();
                total = reduced(total.0 * denominator, total.1 * numerator);
            } else {
                return total;
            }
        }
    }

    fn factor(&mut self) -> Fraction {
        if self.accept('(') {
            let inner = self.sum();
            assert!(self.accept(')'), "a parenthesis is not closed");
            return inner;
        }
        if self.accept('M') {
            return (1_000_000, 1);
        }
        let (mut number, mut scale, mut behind_point) = (0_i128, 1_i128, false);
        let start = self.at;
        while let Some(letter) = self.tokens.get(self.at).copied() {
            match letter.to_digit(10) {
                Some(digit) => {
                    number = number * 10 + i128::from(digit);
                    scale *= if behind_point { 10 } else { 1 };
                }
                None if letter == '.' && !behind_point => behind_point = true,
                None => break,
            }
            self.at += 1;
        }
        assert!(self.at > start, "a number is missing at {start}");
        reduced(number, scale)
    }
}

fn reduced(numerator: i128, denominator: i128) -> Fraction {
    let (mut left, mut right) = (numerator, denominator);
    while right != 0 {
        (left, right) = (right, left % right);
    }
    (numerator / left.max(1), denominator / left.max(1))
}

#[test]
fn a_person_would_come_to_the_same_amount() {
    for (text, picos) in [
        ("1_000 * 2.50/M", 2_500_000_000),
        ("1 * 0.0125/M", 12_500),
        ("1 * 0.0000005/M", 0),
        ("3 * 0.0000005/M", 2),
        ("1 * 0.0000006/M", 1),
        ("(1 + 2) * 3/M + 2 * 10/1_000", 20_009_000_000),
        ("0 * 2/M", 0),
        ("10 / 4 * 2", 5_000_000_000_000),
        ("1/3", 333_333_333_333),
    ] {
        assert_eq!(pico_usd(text), picos, "{text}");
    }
}
