//! Tiny models made in code, and running them. Tests only.

use faceset_testkit::home;
use ndarray::Array4;

use crate::model::Model;
use crate::onnx::{
    FLOAT, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_NODE, GRAPH_OUTPUT, INT64, MODEL_GRAPH,
    MODEL_IR_VERSION, Message, NODE_INPUT, NODE_OP, NODE_OUTPUT, TENSOR_DIMS, TENSOR_NAME,
    TENSOR_RAW, TENSOR_TYPE, VALUE_NAME,
};
use crate::{Runtime, find_library};

/// `y = PRelu(x, slope)` on `[1, channels, height, width]`, the slope stored as
/// `[n, 1, 1]`, or as `[n]` when it has no value for each channel.
pub(crate) fn prelu_model(slopes: &[f32], ir_version: u64, shape: [u64; 3]) -> Vec<u8> {
    let n = slopes.len() as u64;
    let dims = if n == shape[0] {
        vec![n, 1, 1]
    } else {
        vec![n]
    };
    let slope = tensor(
        "slope",
        FLOAT,
        &dims,
        slopes.iter().flat_map(|v| v.to_le_bytes()),
    );
    model("PRelu", "slope", slope, ir_version, shape)
}

/// `y = Reshape(x, [1, channels * height * width])`.
pub(crate) fn flatten_model(shape: [u64; 3]) -> Vec<u8> {
    let sizes = [1, shape.iter().product::<u64>() as i64];
    let target = tensor(
        "target",
        INT64,
        &[2],
        sizes.iter().flat_map(|v| v.to_le_bytes()),
    );
    model("Reshape", "target", target, 7, shape)
}

/// Runs a model of one input on the processor; the first output's values.
pub(crate) fn run(model: &[u8], shape: [usize; 4], values: &[f32]) -> Vec<f32> {
    let folder = home().join("runtime");
    let library = find_library(std::slice::from_ref(&folder)).unwrap_or_else(|| {
        panic!(
            "no ONNX Runtime in {}; run `cargo xtask setup`",
            folder.display()
        )
    });
    let runtime = Runtime::load(&library).unwrap();
    let input = Array4::from_shape_vec(shape, values.to_vec()).unwrap();
    let mut outputs = Model::from_bytes(&runtime, "test", model.to_vec())
        .unwrap()
        .run(&input)
        .unwrap();
    outputs.swap_remove(0).1
}

fn tensor(name: &str, kind: u64, dims: &[u64], raw: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut tensor = Message::default();
    for dim in dims {
        tensor.push_number(TENSOR_DIMS, *dim);
    }
    tensor.push_number(TENSOR_TYPE, kind);
    tensor.push_text(TENSOR_NAME, name);
    tensor.push_bytes(TENSOR_RAW, raw.collect());
    tensor.encode()
}

fn model(op: &str, weight: &str, stored: Vec<u8>, ir_version: u64, shape: [u64; 3]) -> Vec<u8> {
    let mut node = Message::default();
    node.push_text(NODE_INPUT, "x");
    node.push_text(NODE_INPUT, weight);
    node.push_text(NODE_OUTPUT, "y");
    node.push_text(NODE_OP, op);
    let mut graph = Message::default();
    graph.push_bytes(GRAPH_NODE, node.encode());
    graph.push_text(2, "tiny");
    graph.push_bytes(GRAPH_INITIALIZER, stored);
    let [channels, height, width] = shape;
    graph.push_bytes(GRAPH_INPUT, value("x", Some(&[1, channels, height, width])));
    graph.push_bytes(GRAPH_OUTPUT, value("y", None));
    let mut opset = Message::default();
    opset.push_number(2, 13);
    let mut model = Message::default();
    model.push_number(MODEL_IR_VERSION, ir_version);
    model.push_bytes(MODEL_GRAPH, graph.encode());
    model.push_bytes(8, opset.encode());
    model.encode()
}

/// ValueInfoProto of a float tensor.
fn value(name: &str, dims: Option<&[u64]>) -> Vec<u8> {
    let mut tensor = Message::default();
    tensor.push_number(1, FLOAT);
    if let Some(dims) = dims {
        let mut shape = Message::default();
        for dim in dims {
            let mut stated = Message::default();
            stated.push_number(1, *dim);
            shape.push_bytes(1, stated.encode());
        }
        tensor.push_bytes(2, shape.encode());
    }
    let mut kind = Message::default();
    kind.push_bytes(1, tensor.encode());
    let mut info = Message::default();
    info.push_text(VALUE_NAME, name);
    info.push_bytes(2, kind.encode());
    info.encode()
}
