// Types of error-codes.mjs, for the tests.
export declare function collectErrorCodes(): { code: string; files: string[] }[];
