//! Numbers as texts that are ordered as the numbers are.
//!
//! A number is ±0.d₁d₂d₃… × 10ᵉ with d₁ ≠ 0. Positive numbers are ordered by exponent, then by digits
//! from the left. Negative numbers are ordered the other way round: every digit is replaced by its
//! difference to nine, and a character that sorts after all digits marks the end.

/// Larger than any exponent of a 64-bit number, so that a shifted exponent has four digits.
const SHIFT: i32 = 5_000;

/// The ordered text of a JSON number.
pub(super) fn ordered_text(number: &str) -> String {
    let (negative, magnitude) = match number.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, number),
    };
    let (digits, exponent) = normalise(magnitude);
    if digits.is_empty() {
        return "1".to_owned();
    }
    let text = format!("{:04}{digits}", exponent + SHIFT);
    if negative {
        let complement = text.bytes().map(|digit| char::from(b'9' - (digit - b'0')));
        format!("0{}~", complement.collect::<String>())
    } else {
        format!("2{text}")
    }
}

/// The digits without zeros at either end (no digits for zero), and the exponent that belongs to them.
fn normalise(magnitude: &str) -> (String, i32) {
    let (mantissa, exponent) = magnitude
        .split_once(['e', 'E'])
        .map_or((magnitude, 0), |(mantissa, exponent)| {
            (mantissa, exponent.parse().unwrap_or(0))
        });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, fraction].concat();
    let significant = all.trim_start_matches('0');
    let leading = all.len() - significant.len();
    let point = i32::try_from(whole.len()).unwrap_or(0) - i32::try_from(leading).unwrap_or(0);
    (
        significant.trim_end_matches('0').to_owned(),
        exponent + point,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Number;

    use super::*;

    #[test]
    fn spellings_of_one_number_are_equal() {
        let check = |one: &str, other: &str| {
            assert_eq!(ordered_text(one), ordered_text(other), "{one} {other}");
        };
        check("1", "1.0");
        check("100", "1e2");
        check("100", "1E+2");
        check("0.015", "1.5e-2");
        check("0", "-0.0");
        check("-20", "-2e1");
    }

    proptest! {
        #[test]
        fn decimals_keep_their_order(one in any::<f64>(), other in any::<f64>()) {
            let (Some(a), Some(b)) = (Number::from_f64(one), Number::from_f64(other)) else {
                return Ok(());
            };
            let (a, b) = (ordered_text(&a.to_string()), ordered_text(&b.to_string()));
            prop_assert_eq!(Some(a.cmp(&b)), one.partial_cmp(&other));
        }

        #[test]
        fn integers_keep_their_order(one in any::<i64>(), other in any::<i64>()) {
            let (a, b) = (ordered_text(&one.to_string()), ordered_text(&other.to_string()));
            prop_assert_eq!(a.cmp(&b), one.cmp(&other));
        }

        #[test]
        fn small_numbers_keep_their_order(one in -50_i32..50, other in -50_i32..50, tenth in any::<bool>()) {
            let scaled = if tenth { f64::from(other) / 10.0 } else { f64::from(other) };
            let (a, b) = (ordered_text(&one.to_string()), ordered_text(&scaled.to_string()));
            prop_assert_eq!(Some(a.cmp(&b)), f64::from(one).partial_cmp(&scaled));
        }
    }
}
