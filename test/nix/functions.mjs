// Functions for the tests of blocking calls, run in a thread.
export async function open(options) {
  if (options.refuse) throw Object.assign(new Error("refused to open"), { code: "ERR_TEST_OPEN", notes: ["a note"] });
  let calls = 0;
  return {
    echo: async (value) => value,
    later: (value) =>
      new Promise((resolve) => {
        setTimeout(() => resolve([++calls, value]), 20);
      }),
    fail: async (code) => {
      throw Object.assign(new Error("failed"), code === undefined ? {} : { code, notes: ["why"] });
    },
    vanish: async () => {
      process.exit(3);
    },
  };
}
