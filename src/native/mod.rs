//! The one door to what libtorch has and tch lacks, and the only `unsafe` of the
//! crate: any operator by the name of its schema, and what is no operator:
//! gradients, generator states, autocasting. What comes out is safe: errors are values,
//! tensors are owned.
#![allow(unsafe_code)]

pub(crate) mod adamw;
mod autocast;
mod floats;
pub(crate) mod fused;
mod memory;
mod parallel;
mod products;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use tch::{Device, TchError, Tensor};
use torch_sys::C_tensor;

pub(crate) use autocast::{Autocast, KeepConverted};
pub(crate) use floats::{Numbers, floats};
pub(crate) use memory::memory_is_reused;
pub use memory::reuse_memory;
pub(crate) use parallel::in_parallel;
pub(crate) use products::{OneDnn, are_exact, bmm, matmul};

/// Kinds of argument, in the order of `Tag` in door.cpp.
#[repr(i32)]
#[derive(Clone, Copy)]
enum Tag {
    TensorList,
    OneTensor,
    Double,
    Bool,
    Absent,
}

/// An argument as door.cpp reads it.
#[repr(C)]
struct RawArgument {
    tag: Tag,
    truth: bool,
    number: f64,
    tensors: *const *const C_tensor,
    length: usize,
}

/// An operator of libtorch, as door.cpp keeps it.
#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn bertfit_find(
        name: *const c_char,
        overload: *const c_char,
        found: *mut *const Handle,
    ) -> *mut c_char;
    fn bertfit_call(
        op: *const Handle,
        arguments: *const RawArgument,
        count: usize,
        take: extern "C" fn(*mut c_void, *mut C_tensor),
        context: *mut c_void,
    ) -> *mut c_char;
    fn bertfit_drop_gradients(tensors: *const *const C_tensor, count: usize) -> *mut c_char;
    fn bertfit_generator_state(
        gpu: c_int,
        take: extern "C" fn(*mut c_void, *mut C_tensor),
        context: *mut c_void,
    ) -> *mut c_char;
    fn bertfit_set_generator_state(gpu: c_int, state: *const C_tensor) -> *mut c_char;
    fn bertfit_matmul_precision(precision: c_int, was: *mut c_int) -> *mut c_char;
    fn bertfit_free(message: *mut c_char);
}

/// An argument of an operator.
pub(crate) enum Arg<'a> {
    /// `Tensor[]`
    Tensors(&'a [Tensor]),
    /// `Tensor` or `Tensor?`
    Tensor(&'a Tensor),
    /// `float` or `Scalar`
    Double(f64),
    /// `bool`
    Bool(bool),
    /// `None`, for an argument before others that are given.
    Absent,
}

/// An operator of libtorch, found by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op(*const Handle);

// SAFETY: a handle is never written after it was made, and never freed; the
// dispatcher that it points into may be used by all threads at once.
unsafe impl Send for Op {}
// SAFETY: as above.
unsafe impl Sync for Op {}

impl Op {
    /// Finds an operator by name and overload, such as `aten::_foreach_norm` and
    /// `Scalar`. Keep it: each call allocates a handle that lives for ever.
    pub(crate) fn find(name: &str, overload: &str) -> Result<Self, TchError> {
        let (name, overload) = (text(name)?, text(overload)?);
        let mut found = ptr::null();
        // SAFETY: both names end in NUL and outlive the call; `found` may be written.
        let message = unsafe { bertfit_find(name.as_ptr(), overload.as_ptr(), &mut found) };
        check(message)?;
        Ok(Self(found))
    }

    /// The same, looked up once and kept in `place`.
    pub(crate) fn once(
        place: &OnceLock<Self>,
        name: &str,
        overload: &str,
    ) -> Result<Self, TchError> {
        if let Some(op) = place.get() {
            return Ok(*op);
        }
        let op = Self::find(name, overload)?;
        Ok(*place.get_or_init(|| op))
    }

    /// Calls the operator, and returns the tensors that it returns. Arguments that
    /// are left out take the declaration's defaults.
    pub(crate) fn call(self, arguments: &[Arg]) -> Result<Vec<Tensor>, TchError> {
        let pointers: Vec<Vec<*const C_tensor>> = arguments
            .iter()
            .map(|argument| match argument {
                Arg::Tensors(tensors) => tensors.iter().map(Tensor::as_ptr).collect(),
                Arg::Tensor(tensor) => vec![tensor.as_ptr()],
                _ => Vec::new(),
            })
            .collect();
        let raw = |(argument, tensors): (&Arg, &Vec<_>)| {
            let (tag, truth, number) = match *argument {
                Arg::Tensors(_) => (Tag::TensorList, false, 0.0),
                Arg::Tensor(_) => (Tag::OneTensor, false, 0.0),
                Arg::Double(number) => (Tag::Double, false, number),
                Arg::Bool(truth) => (Tag::Bool, truth, 0.0),
                Arg::Absent => (Tag::Absent, false, 0.0),
            };
            let (tensors, length) = (tensors.as_ptr(), tensors.len());
            RawArgument {
                tag,
                truth,
                number,
                tensors,
                length,
            }
        };
        let raw: Vec<_> = arguments.iter().zip(&pointers).map(raw).collect();
        let mut results: Vec<Tensor> = Vec::new();
        let context: *mut Vec<Tensor> = &mut results;
        // SAFETY: the handle came from `find`; arguments and the tensors they point
        // to outlive the call; `take` gets the `context` that it expects.
        let message =
            unsafe { bertfit_call(self.0, raw.as_ptr(), raw.len(), take, context.cast()) };
        check(message)?;
        Ok(results)
    }
}

/// The last result of an operation that has one at least.
pub(crate) fn one(results: &mut Vec<Tensor>) -> Result<Tensor, TchError> {
    let missing = || TchError::Torch("an operation has no result".to_owned());
    results.pop().ok_or_else(missing)
}

/// Takes the gradients of leaves away, so that the next backward pass gives them new
/// ones instead of adding to zeros.
pub(crate) fn drop_gradients<'a>(
    leaves: impl IntoIterator<Item = &'a Tensor>,
) -> Result<(), TchError> {
    let pointers: Vec<_> = leaves.into_iter().map(Tensor::as_ptr).collect();
    let pointers: Vec<*const C_tensor> = pointers.into_iter().map(|p| p as *const _).collect();
    // SAFETY: the tensors outlive the call.
    check(unsafe { bertfit_drop_gradients(pointers.as_ptr(), pointers.len()) })
}

/// The state of the device's default random generator, bytes that only libtorch
/// understands.
pub(crate) fn generator_state(device: Device) -> Result<Vec<u8>, TchError> {
    let mut results: Vec<Tensor> = Vec::new();
    let context: *mut Vec<Tensor> = &mut results;
    // SAFETY: `take` gets the `context` that it expects.
    let message = unsafe { bertfit_generator_state(gpu(device), take, context.cast()) };
    check(message)?;
    let state = Tensor::f_cat(&results, 0)?;
    Vec::<u8>::try_from(&state)
}

/// Puts the device's default random generator into a state that
/// [`generator_state`] gave.
pub(crate) fn set_generator_state(device: Device, state: &[u8]) -> Result<(), TchError> {
    let state = Tensor::f_from_slice(state)?;
    // SAFETY: the tensor outlives the call.
    check(unsafe { bertfit_set_generator_state(gpu(device), state.as_ptr()) })
}

/// A device as door.cpp counts them.
fn gpu(device: Device) -> c_int {
    match device {
        Device::Cuda(index) => index as c_int,
        _ => -1,
    }
}

/// Adopts one result of an operator.
extern "C" fn take(context: *mut c_void, tensor: *mut C_tensor) {
    // SAFETY: `call` passes a `Vec<Tensor>` that nothing else uses meanwhile, and
    // door.cpp a tensor that it has allocated for us.
    unsafe { (*context.cast::<Vec<Tensor>>()).push(Tensor::from_ptr(tensor)) };
}

fn text(name: &str) -> Result<CString, TchError> {
    CString::new(name).map_err(|error| TchError::Torch(error.to_string()))
}

/// Turns a message of door.cpp into an error.
fn check(message: *mut c_char) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a message ends in NUL, and is ours until we free it, once.
    let owned = unsafe {
        let owned = CStr::from_ptr(message).to_string_lossy().into_owned();
        bertfit_free(message);
        owned
    };
    Err(TchError::Torch(owned))
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn an_operator_returns_its_tensors() {
        let norm = Op::find("aten::_foreach_norm", "Scalar").expect("an operator");
        let tensors = [Tensor::from_slice(&[3.0, 4.0]), Tensor::from_slice(&[-2.0])];
        let norms = norm.call(&[Arg::Tensors(&tensors), Arg::Double(2.0)]);
        let norms = norms.expect("two norms");
        let values: Vec<_> = norms.iter().map(|norm| norm.double_value(&[])).collect();
        assert_eq!(values, [5.0, 2.0]);
    }

    #[test]
    fn a_generator_goes_on_from_a_state_and_refuses_nonsense() {
        let draw = || {
            let numbers = Tensor::rand([8], (Kind::Float, Device::Cpu));
            Vec::<f32>::try_from(numbers).expect("numbers")
        };
        tch::manual_seed(7);
        let _ = draw();
        let state = generator_state(Device::Cpu).expect("a state");
        let (then, later) = (draw(), draw());
        assert_ne!(then, later);
        set_generator_state(Device::Cpu, &state).expect("a state");
        assert_eq!((draw(), draw()), (then, later));
        let refused = set_generator_state(Device::Cpu, &state[..100]);
        assert!(refused.is_err());
    }

    #[test]
    fn an_unknown_operator_and_a_wrong_argument_are_errors() {
        let unknown = Op::find("aten::no_such_thing", "").expect_err("no such operator");
        assert!(unknown.to_string().contains("no_such_thing"), "{unknown}");
        let norm = Op::find("aten::_foreach_norm", "Scalar").expect("an operator");
        let wrong = norm.call(&[Arg::Bool(true)]).expect_err("no tensors");
        assert!(wrong.to_string().contains("_foreach_norm"), "{wrong}");
        let shapes = [Tensor::zeros([2], (Kind::Float, Device::Cpu))];
        let add = Op::find("aten::_foreach_add_", "List").expect("an operator");
        let others = [Tensor::zeros([3], (Kind::Float, Device::Cpu))];
        let refused = add.call(&[Arg::Tensors(&shapes), Arg::Tensors(&others)]);
        assert!(refused.is_err());
    }
}
