// OpenAI's package for Node, told over stdin what to ask: one JSON object a line in, one out.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [url, modules] = process.argv.slice(2);
const entry = pathToFileURL(join(modules, "openai", "index.mjs"));
const { default: OpenAI } = await import(entry);
const sdk = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 });

const heardOf = ({ choices: [choice], usage }) => ({
  text: choice.message.content ?? "",
  calls: (choice.message.tool_calls ?? []).map(({ function: f }) => [f.name, JSON.parse(f.arguments)]),
  thought: choice.message.reasoning_content ?? "",
  usage: usage ? [usage.prompt_tokens, usage.completion_tokens] : null,
  finish: choice.finish_reason,
});

const does = {
  ask: async (wish) => heardOf(await sdk.chat.completions.create(wish)),
  listen: async (wish) => {
    const stream = sdk.chat.completions.stream({ ...wish, stream_options: { include_usage: true } });
    let told = "";
    stream.on("content", (piece) => (told += piece));
    const heard = heardOf(await stream.finalChatCompletion());
    if (told !== heard.text) throw new Error(`told ${told}, and in the end ${heard.text}`);
    return heard;
  },
  leave: async (wish) => {
    const stream = await sdk.chat.completions.create({ ...wish, stream: true });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 4) break; // which aborts the request
    return { text: String(chunks) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { what, wish } = JSON.parse(line);
  let answer;
  try {
    answer = { heard: await does[what](wish) };
  } catch (error) {
    answer = { error: error.constructor.name, message: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
