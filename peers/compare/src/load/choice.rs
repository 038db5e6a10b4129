//! Who is asked for next.

/// How often each tenant is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Each as often as any other.
    Uniform,
    /// The nth one nth as often as the first.
    Zipf,
}

/// The sums of the tenants' weights, from which a random number chooses.
#[derive(Debug)]
pub(crate) struct Choice {
    sums: Vec<f64>,
}

impl Choice {
    pub(crate) fn new(spread: Spread, tenants: usize) -> Self {
        let weight = |n: u32| if spread == Spread::Zipf { 1.0 / f64::from(n) } else { 1.0 };
        let sums = (1..).take(tenants).scan(0.0, |sum, n| {
            *sum += weight(n);
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    /// The number of a tenant, by a number from 0 to 1.
    pub(crate) fn tenant(&self, random: f64) -> usize {
        let at = random * self.sums.last().copied().unwrap_or_default();
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len().saturating_sub(1))
    }
}

/// xorshift64*: good enough for a load, and the same in every run.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From 0 to less than 1.
    pub(crate) fn number(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let upper = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32;
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of the tenants is chosen in 100,000 draws.
    fn counts(spread: Spread, tenants: usize) -> Vec<u32> {
        let (choice, mut random) = (Choice::new(spread, tenants), Random::new(7));
        let mut counts = vec![0; tenants];
        (0..100_000).for_each(|_| counts[choice.tenant(random.number())] += 1);
        counts
    }

    #[test]
    fn uniform_asks_for_each_tenant_as_often_as_for_any_other() {
        let counts = counts(Spread::Uniform, 10);
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    }

    #[test]
    fn zipf_asks_for_the_nth_tenant_an_nth_as_often_as_for_the_first() {
        let counts = counts(Spread::Zipf, 1_000);
        // 1 / (1 + 1/2 + ... + 1/1000) is 0.1336.
        assert!((13_000..13_800).contains(&counts[0]), "{}", counts[0]);
        assert!((6_400..7_000).contains(&counts[1]), "{}", counts[1]);
        assert!((1_200..1_500).contains(&counts[9]), "{}", counts[9]);
    }

    #[test]
    fn the_ends_of_the_range_are_tenants_too() {
        let choice = Choice::new(Spread::Uniform, 3);
        assert_eq!((choice.tenant(0.0), choice.tenant(0.999_999), choice.tenant(1.0)), (0, 2, 2));
    }

    #[test]
    fn the_same_seed_gives_the_same_load() {
        let numbers = |seed| (0..5).map(move |_| seed).map(|seed| Random::new(seed).number()).collect::<Vec<_>>();
        assert_eq!(numbers(3), numbers(3));
        assert_ne!(numbers(3), numbers(4));
    }
}
