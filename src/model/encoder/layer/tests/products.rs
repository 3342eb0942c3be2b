//! The products of dense layers by themselves, against products in float64.

use super::*;

/// Where a number is three of bfloat16, as exact as in float32: against products in float64,
/// of numbers of very different sizes.
#[test]
fn our_products_of_float32_are_as_exact_as_libtorchs() {
    let place = (Kind::Float, Device::Cpu);
    tch::manual_seed(3);
    for [tokens, inner, outer] in [
        [300, 80, 48],
        [567, 1600, 32],
        [2000, 48, 784],
        [100, 1600, 784],
    ] {
        let random = |size: [i64; 2]| {
            let powers = (Tensor::rand(size, place) * 16.0 - 8.0).round();
            (Tensor::randn(size, place) * powers.exp2()).set_requires_grad(true)
        };
        let (x, weight) = (random([tokens, inner]), random([outer, inner]));
        // Far to the right, where GELU leaves a number as it is.
        let bias = Tensor::full([outer], 1e6, place);
        let pushed = random([tokens, outer]).detach();
        let ours = fused::dense_gelu(&x, (&weight, &bias)).expect("a product");
        (&ours * &pushed).sum(Kind::Float).backward();
        let ours = [x.grad(), weight.grad()];
        let [x64, weight64, pushed64] = [&x, &weight, &pushed].map(|t| t.to_kind(Kind::Double));
        let exact = [pushed64.matmul(&weight64), pushed64.tr().matmul(&x64)];
        let theirs = no_grad(|| [pushed.matmul(&weight), pushed.tr().matmul(&x)]);
        for ((exact, ours), theirs) in exact.iter().zip(&ours).zip(&theirs) {
            let (ours, theirs) = (difference(ours, exact), difference(theirs, exact));
            assert!(
                ours < 1.2 * theirs,
                "{tokens} {inner} {outer}: {ours}, {theirs}"
            );
        }
    }
}

/// GELU is of a whole sum, also where that is made in several parts.
#[test]
fn gelu_of_long_sums_is_as_exact_as_libtorchs() {
    let place = (Kind::Float, Device::Cpu);
    tch::manual_seed(4);
    let kinds = [Kind::Float, Kind::BFloat16];
    for kind in &kinds[..if cpu_has_bf16() { 2 } else { 1 }] {
        for [tokens, inner, outer] in [[300, 1600, 48], [567, 1600, 80], [300, 4112, 48]] {
            let x = Tensor::randn([tokens, inner], place).to_kind(*kind);
            let weight = Tensor::randn([outer, inner], place) / 40.0;
            let bias = Tensor::randn([outer], place);
            let gelu = |kind: Kind| {
                let [x, weight, bias] = [&x, &weight, &bias].map(|t| t.to_kind(kind));
                x.linear(&weight, Some(&bias)).gelu("none")
            };
            let exact = gelu(Kind::Double);
            let ours = fused::dense_gelu(&x, (&weight, &bias)).expect("GELU");
            assert_eq!(ours.kind(), *kind);
            let (ours, theirs) = (difference(&ours, &exact), difference(&gelu(*kind), &exact));
            assert!(
                ours < 1e-6 + 1.2 * theirs,
                "{kind:?} {inner}: {ours}, {theirs}"
            );
        }
    }
}
