// Loads the network of this folder, and predicts raw rows: import { load } from "./model.js".
import { decode } from "./decode.js";
import { encode } from "./encode.js";
import { FOLDERS } from "./runtime.js";

async function json(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} is missing (${response.status}).`);
  return response.json();
}

/** ONNX Runtime, from the first folder that has it. */
async function runtime() {
  for (const folder of FOLDERS) {
    const address = new URL(folder, import.meta.url);
    try {
      const ort = await import(new URL("ort.wasm.min.mjs", address));
      ort.env.wasm.wasmPaths = address.href;
      ort.env.wasm.numThreads = 1; // more threads need headers that few static servers send
      return ort;
    } catch {
      continue; // the next folder
    }
  }
  throw new Error("ONNX Runtime is missing: run npm install in this folder, and reload the page.");
}

/** The model of this folder: its preprocessing, an example row, and predict(row), which returns {output, answer}. */
export async function load() {
  const ort = await runtime();
  const [preprocess, example] = await Promise.all([json("preprocess.json"), json("example.json")]);
  const session = await ort.InferenceSession.create(new URL("model.onnx", import.meta.url).href);
  const fields = preprocess.arguments.map((name) => preprocess.fields.find((field) => field.name === name));
  const predict = async (row) => {
    const feeds = {};
    const arrays = {};
    session.inputNames.forEach((name, index) => {
      const { data, dims } = encode(fields[index], row);
      arrays[fields[index].name] = data;
      feeds[name] = new ort.Tensor(data instanceof BigInt64Array ? "int64" : "float32", data, dims);
    });
    const results = await session.run(feeds);
    const [output, ...others] = session.outputNames.map((name) => ({ data: results[name].data, dims: results[name].dims }));
    return { output: Array.from(output.data), answer: decode(preprocess, output, others, arrays) };
  };
  return { preprocess, example, fields, predict };
}
