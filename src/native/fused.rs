//! Pieces of an encoder's layer, and the loss of scores of all tokens, each in one operation
//! with a gradient of its own: on a CPU they pass over memory less often than libtorch's
//! operators do one after another, and in short rows those cost more than what they compute. Their dropout is drawn from libtorch's
//! generator.

use std::ffi::{c_char, c_void};
use std::sync::OnceLock;

use tch::{Device, Kind, TchError, Tensor};
use torch_sys::C_tensor;

use super::{check, one, take};

type Take = extern "C" fn(*mut c_void, *mut C_tensor);

unsafe extern "C" {
    #[cfg(fused)]
    fn bertfit_path() -> std::ffi::c_int;
    fn bertfit_attention(
        inputs: *const *const C_tensor,
        asking: *const C_tensor,
        queries: *const i64,
        rows: *const i64,
        count: usize,
        heads: i64,
        dropout: f64,
        take: Take,
        context: *mut c_void,
    ) -> *mut c_char;
    fn bertfit_dense_gelu(
        inputs: *const *const C_tensor,
        take: Take,
        context: *mut c_void,
    ) -> *mut c_char;
    fn bertfit_dense_add_norm(
        inputs: *const *const C_tensor,
        eps: f64,
        dropout: f64,
        take: Take,
        context: *mut c_void,
    ) -> *mut c_char;
    fn bertfit_token_loss(
        inputs: *const *const C_tensor,
        smoothing: f64,
        take: Take,
        context: *mut c_void,
    ) -> *mut c_char;
}

/// Sizes must be multiples of it: so many numbers are computed at a time.
const WIDTH: i64 = 16;

/// The paths that the operations can take on a processor, in the order of `Path` in kernels.h.
/// Each has what those before it have; on the first they are libtorch's operators.
const PATHS: [&str; 6] = [
    "operators",
    "base",
    "avx2",
    "avx512",
    "bf16-dots",
    "bf16-tiles",
];

/// For tests, a lower path than the best of the processor.
const PATH_VARIABLE: &str = "BERTFIT_CPU_PATH";

/// The path that operations on the CPU take.
pub(crate) fn path() -> &'static str {
    static PATH: OnceLock<&str> = OnceLock::new();
    PATH.get_or_init(|| {
        #[cfg(fused)]
        // SAFETY: takes and leaves nothing.
        let path = PATHS[unsafe { bertfit_path() } as usize];
        #[cfg(not(fused))]
        let path = PATHS[0];
        if let Some(wanted) = std::env::var_os(PATH_VARIABLE)
            && wanted != path
        {
            log::warn!(
                "{PATH_VARIABLE} is {wanted:?}, which is no path of this processor: expected one \
                 of {}, up to its best, {path}",
                PATHS.join(", ")
            );
        }
        path
    })
}

/// Whether layers of these sizes are computed so on a device.
pub(crate) fn is_available(device: Device, sizes: &[i64]) -> bool {
    device == Device::Cpu && path() != PATHS[0] && sizes.iter().all(|size| size % WIDTH == 0)
}

/// A weight `[out, in]` and a bias `[out]`, float32.
pub(crate) type Dense<'a> = (&'a Tensor, &'a Tensor);

/// The first token of a row in a matrix of tokens, and its length.
pub(crate) type Row = [i64; 2];

/// Tokens that attend to those of their rows, `[Q, H]`, and where those of each row are.
pub(crate) type Asking<'a> = (&'a Tensor, &'a [Row]);

/// Self-attention of `x`, `[T, H]`, by the dense layers of query, key and value, to `[T, H]`
/// of the same kind, or to `[Q, H]` where not all tokens are `asking`; zero for tokens that belong
/// to no row.
///
/// # Errors
/// When a size or a kind is not as said, or a row lies outside the tokens.
pub(crate) fn attention(
    x: &Tensor,
    asking: Option<Asking>,
    [query, key, value]: [Dense; 3],
    rows: &[Row],
    heads: i64,
    dropout: f64,
) -> Result<Tensor, TchError> {
    let x = x.f_contiguous()?;
    let inputs = [&x, query.0, query.1, key.0, key.1, value.0, value.1];
    let (asking, queries) = match asking {
        Some((tokens, queries)) if queries.len() == rows.len() => {
            (Some(tokens.f_contiguous()?), queries)
        }
        Some(_) => return Err(TchError::Shape("rows and queries do not match".to_owned())),
        None => (None, rows),
    };
    let asking: *const C_tensor = match &asking {
        Some(tokens) => tokens.as_ptr() as _,
        None => std::ptr::null(),
    };
    let mut results = called(&inputs, |inputs, context| {
        // SAFETY: all tensors, and as many pairs of both kinds, outlive the call; `take` gets the
        // `context` that it expects.
        unsafe {
            bertfit_attention(
                inputs,
                asking,
                queries.as_flattened().as_ptr(),
                rows.as_flattened().as_ptr(),
                rows.len(),
                heads,
                dropout,
                take,
                context,
            )
        }
    })?;
    one(&mut results)
}

/// GELU of a dense layer, `[T, in]` to `[T, out]` of the same kind.
///
/// # Errors
/// When a size or a kind is not as said.
pub(crate) fn dense_gelu(x: &Tensor, (weight, bias): Dense) -> Result<Tensor, TchError> {
    let x = x.f_contiguous()?;
    let mut results = called(&[&x, weight, bias], |inputs, context| {
        // SAFETY: three tensors outlive the call; `take` gets the `context` that it expects.
        unsafe { bertfit_dense_gelu(inputs, take, context) }
    })?;
    one(&mut results)
}

/// The norm of `residual + dropout(dense(x))`, `[T, in]` to `[T, out]` in float32; if `x` is
/// bfloat16, the same in bfloat16 besides. `norm` is its weight and its bias, `[out]` each.
///
/// # Errors
/// When a size or a kind is not as said.
pub(crate) fn dense_add_norm(
    x: &Tensor,
    (weight, bias): Dense,
    residual: &Tensor,
    norm: Dense,
    eps: f64,
    dropout: f64,
) -> Result<(Tensor, Option<Tensor>), TchError> {
    let (x, residual) = (x.f_contiguous()?, residual.f_contiguous()?);
    let inputs = [&x, weight, bias, &residual, norm.0, norm.1];
    let mut results = called(&inputs, |inputs, context| {
        // SAFETY: six tensors outlive the call; `take` gets the `context` that it expects.
        unsafe { bertfit_dense_add_norm(inputs, eps, dropout, take, context) }
    })?;
    let short = (x.kind() == Kind::BFloat16).then(|| one(&mut results));
    let short = short.transpose()?;
    Ok((one(&mut results)?, short))
}

/// The cross-entropies, added up, of the scores of all tokens by a dense layer of `x`, `[M, in]`,
/// with the right tokens `[M]`, -100 for a row that does not count; `smoothing` is the share of a
/// target that is spread over all tokens. The scores are in memory once, in `x`'s numbers.
///
/// # Errors
/// When a size or a kind is not as said, or a target is no token.
pub(crate) fn token_loss(
    x: &Tensor,
    (weight, bias): Dense,
    target: &Tensor,
    smoothing: f64,
) -> Result<Tensor, TchError> {
    let (x, target) = (x.f_contiguous()?, target.f_contiguous()?);
    let mut results = called(&[&x, weight, bias, &target], |inputs, context| {
        // SAFETY: four tensors outlive the call; `take` gets the `context` that it expects.
        unsafe { bertfit_token_loss(inputs, smoothing, take, context) }
    })?;
    one(&mut results)
}

/// What a function of C++ makes of tensors.
fn called(
    inputs: &[&Tensor],
    function: impl FnOnce(*const *const C_tensor, *mut c_void) -> *mut c_char,
) -> Result<Vec<Tensor>, TchError> {
    let pointers: Vec<*const C_tensor> = inputs.iter().map(|input| input.as_ptr() as _).collect();
    let mut results: Vec<Tensor> = Vec::new();
    let context: *mut Vec<Tensor> = &mut results;
    check(function(pointers.as_ptr(), context.cast()))?;
    Ok(results)
}
