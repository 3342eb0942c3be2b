//! What dropout drops, and how much of it.

use super::*;

/// Whether each number was dropped from the output of a layer that gives ones.
fn dropped(rows: i64, width: i64, share: f64) -> Tensor {
    let place = (Kind::Float, Device::Cpu);
    let zeros = |size: &[i64]| Tensor::zeros(size, place);
    let ones = Tensor::ones([width], place);
    let (x, weight) = (zeros(&[rows, width]), zeros(&[width, width]));
    let norm = (&ones, &zeros(&[width]));
    let made = fused::dense_add_norm(&x, (&weight, &ones), &x, norm, 1e-12, share);
    // What was dropped is below the mean of its row, what was kept is above.
    made.expect("a norm").0.lt(0.0)
}

#[test]
fn what_is_dropped_is_what_threefry_draws() {
    #[derive(serde::Deserialize)]
    struct Reference {
        seed: i64,
        share: f64,
        dropped: Vec<String>,
    }
    let path = "tests/data/model/dropout_mask.json";
    let text = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    let text = text.expect("the reference");
    let reference: Reference = serde_json::from_slice(&text).expect("JSON");
    let (rows, width) = (reference.dropped.len(), reference.dropped[0].len());
    tch::manual_seed(reference.seed);
    let ours = dropped(rows as i64, width as i64, reference.share);
    for (row, expected) in reference.dropped.iter().enumerate() {
        let ours = Vec::<bool>::try_from(ours.get(row as i64)).expect("booleans");
        let ours: String = ours.iter().map(|&is| if is { '1' } else { '0' }).collect();
        assert_eq!(&ours, expected, "row {row}");
    }
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let (rows, width) = (2000, 64);
    tch::manual_seed(3);
    let (first, second) = (dropped(rows, width, 0.2), dropped(rows, width, 0.2));
    let share = |x: &Tensor| x.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    let deviation = (0.2_f64 * 0.8 / (rows * width) as f64).sqrt();
    assert!((share(&first) - 0.2).abs() < 4.0 * deviation);
    // Two draws have nothing to do with each other.
    let both = share(&first.logical_and(&second));
    assert!((both - 0.04).abs() < 4.0 * (0.04_f64 * 0.96 / (rows * width) as f64).sqrt());
    for dim in [0, 1] {
        let along = first
            .to_kind(Kind::Double)
            .mean_dim(dim, false, Kind::Double);
        let deviation = (0.16 / first.size()[dim as usize] as f64).sqrt();
        let most = (along - 0.2).abs().max().double_value(&[]);
        assert!(most < 5.0 * deviation, "{dim}: {most}");
    }

    // Queries of zero mix all values evenly.
    let place = (Kind::Float, Device::Cpu);
    let zeros = |size: &[i64]| Tensor::zeros(size, place);
    let weight = zeros(&[width, width]);
    let value = Tensor::ones([width], place);
    let bias = zeros(&[width]);
    let dense = [(&weight, &bias), (&weight, &bias), (&weight, &value)];
    let mixed = |x: &Tensor| fused::attention(x, None, dense, &[[0, 50], [50, 50]], 4, 0.2);
    let mixed = mixed(&zeros(&[100, width])).expect("a mix");
    let deviation = (0.25_f64 / 50.0 / 400.0).sqrt();
    assert!((share(&mixed) - 1.0).abs() < 4.0 * deviation);
    assert!(mixed.std(true).double_value(&[]) > 0.0);
}
