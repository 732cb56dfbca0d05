//! Reasons and numbers in words.

/// A count with thousands separated by a comma.
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 face`, `2 faces`.
pub(crate) fn many(n: usize, one: &str, more: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { more })
}

/// At most `decimals` places, no trailing zeros.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    if text == "-0" { "0" } else { text }.to_owned()
}

/// Two numbers with as many places as it takes to tell them apart, at least
/// those asked for and at most six.
pub(crate) fn pair(value: f64, limit: f64, decimals: usize) -> (String, String) {
    (decimals..=6)
        .map(|d| (number(value, d), number(limit, d)))
        .find(|(v, l)| v != l || value == limit)
        .unwrap_or_else(|| (number(value, 6), number(limit, 6)))
}

/// How a gate's numbers read.
struct Gate {
    title: &'static str,
    /// Name of the measure and its unit, e.g. `` and ` px`.
    measure: &'static str,
    unit: &'static str,
    /// What the limit is, e.g. `needs`.
    relation: &'static str,
    decimals: usize,
}

const fn gate(
    title: &'static str,
    measure: &'static str,
    unit: &'static str,
    relation: &'static str,
    decimals: usize,
) -> Gate {
    Gate {
        title,
        measure,
        unit,
        relation,
        decimals,
    }
}

/// The reasons that `refine`, discovery and the export write.
fn known(reason: &str) -> Option<Gate> {
    Some(match reason {
        "min_short" | "min_face_short" => gate("Too small", "", " px", "needs", 0),
        "min_blur" => gate("Not sharp", "sharpness ", "", "needs", 1),
        "min_det_score" => gate("Detector not sure", "score ", "", "needs", 2),
        "outlier" => gate("Far from this person", "distance ", "", "limit", 2),
        "near_duplicate" => gate("Nearly the same picture", "similarity ", "", "limit", 3),
        "smaller_on_photo" => gate("Smaller of two on one photo", "", " px²", "the other", 0),
        "under_age" => gate("Under age", "age ", "", "needs", 0),
        "undated_and_under_age" => gate("Under age, photo undated", "age ", "", "needs", 0),
        "no_crop" => gate("Box gives no crop", "", "", "needs", 0),
        "other_face_in_crop" => gate("Another face in the crop", "faces ", "", "allowed", 0),
        "not_found_again" => gate("Not found again in the crop", "faces ", "", "needs", 0),
        "unreadable" => gate("Photo could not be read", "", "", "needs", 0),
        "photo_changed" => gate("Photo changed since it was read", "", "", "needs", 0),
        "min_faces" => gate("Too few photos", "photos ", "", "needs", 0),
        _ => return None,
    })
}

/// A reason as a heading.
pub(crate) fn reason_title(reason: &str) -> String {
    if let Some(gate) = known(reason) {
        return gate.title.to_owned();
    }
    let plain = reason.replace('_', " ");
    let mut letters = plain.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().collect::<String>() + letters.as_str(),
        None => "No reason given".to_owned(),
    }
}

/// The numbers that decided, e.g. `64 px, needs 90`; empty without a value.
pub(crate) fn reason_numbers(reason: &str, value: Option<f64>, limit: Option<f64>) -> String {
    let gate = known(reason).unwrap_or(gate("", "", "", "limit", 2));
    let Some(value) = value else {
        return String::new();
    };
    let Some(limit) = limit else {
        return format!(
            "{}{}{}",
            gate.measure,
            number(value, gate.decimals),
            gate.unit
        );
    };
    let (value, limit) = pair(value, limit, gate.decimals);
    format!(
        "{}{value}{}, {} {limit}",
        gate.measure, gate.unit, gate.relation
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(many(1, "face", "faces"), "1 face");
        assert_eq!(many(0, "face", "faces"), "0 faces");
    }

    #[test]
    fn numbers_have_no_trailing_zeros() {
        assert_eq!(number(90.0, 2), "90");
        assert_eq!(number(100.0, 0), "100");
        assert_eq!(number(0.5, 2), "0.5");
        assert_eq!(number(-0.001, 2), "0");
    }

    #[test]
    fn a_value_just_past_its_limit_does_not_look_equal() {
        assert_eq!(
            reason_numbers("outlier", Some(0.4503), Some(0.45)),
            "distance 0.4503, limit 0.45"
        );
        assert_eq!(
            reason_numbers("min_short", Some(89.7), Some(90.0)),
            "89.7 px, needs 90"
        );
        assert_eq!(
            reason_numbers("min_short", Some(64.2), Some(90.0)),
            "64 px, needs 90"
        );
    }

    #[test]
    fn unknown_reasons_are_shown_as_they_are() {
        assert_eq!(reason_title("sun_glasses"), "Sun glasses");
        assert_eq!(reason_title(""), "No reason given");
        assert_eq!(reason_numbers("sun_glasses", Some(0.75), None), "0.75");
        assert_eq!(reason_numbers("sun_glasses", None, Some(1.0)), "");
    }
}
