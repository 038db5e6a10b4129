//! Percentiles and medians.

/// The smallest number that so much of all is not above; `share` from 0 to 1, the numbers sorted.
pub(crate) fn percentile(sorted: &[u32], share: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank in some millions"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

/// Of two middle ones their mean; nothing of nothing.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    Some(if numbers.len() % 2 == 1 { upper } else { f64::midpoint(numbers[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_numbers() {
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 0.5), percentile(&hundred, 0.99), percentile(&hundred, 1.0)), (50, 99, 100));
        assert_eq!((percentile(&[7], 0.01), percentile(&[7], 0.99)), (7, 7));
        assert_eq!(percentile(&[1, 2, 3], 0.99), 3);
        assert_eq!(percentile(&[], 0.5), 0);
    }

    #[test]
    fn a_median_does_not_follow_one_that_is_far_away() {
        assert_eq!(median(vec![3.0, 1_000.0, 1.0]), Some(3.0));
        assert_eq!(median(vec![1.0, 2.0, 4.0, 8.0]), Some(3.0));
        assert_eq!(median(vec![]), None);
    }
}
