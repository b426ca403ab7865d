// Reflection: a server describes its own services, so that tools like grpcurl need no .proto files.
import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { ServerReflection, type ServerReflectionRequest } from "./gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "./gen/grpc/reflection/v1alpha/reflection_pb.ts";

/** The service under both its names; their messages are the same. */
export const REFLECTION: readonly (typeof ServerReflection)[] = [
  ServerReflection,
  ServerReflectionAlpha as unknown as typeof ServerReflection,
];

/** NOT_FOUND, as gRPC numbers its statuses. */
const NOT_FOUND = 5;

type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

/** The methods of ServerReflection over the services that a server has. */
export function reflectionMethods(services: readonly DescService[]): ServiceImpl<typeof ServerReflection> {
  const index = new DescriptorIndex(services);
  return {
    serverReflectionInfo: async function* (requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: index.answer(request) };
      }
    },
  };
}

/** Descriptors by file name and by what is declared in them. */
class DescriptorIndex {
  readonly #services: readonly string[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();

  constructor(services: readonly DescService[]) {
    this.#services = services.map((service) => service.typeName).sort();
    for (const { file } of services) this.#add(file);
  }

  #add(file: DescFile): void {
    const name = file.proto.name;
    if (this.#files.has(name)) return;
    this.#files.set(name, file);
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file);
    }
    this.#addMessages(file.messages, file);
    for (const { typeName } of file.enums) this.#symbols.set(typeName, file);
    for (const imported of file.dependencies) this.#add(imported);
  }

  #addMessages(messages: DescFile["messages"], file: DescFile): void {
    for (const message of messages) {
      this.#symbols.set(message.typeName, file);
      for (const field of message.fields) this.#symbols.set(`${message.typeName}.${field.name}`, file);
      for (const { typeName } of message.nestedEnums) this.#symbols.set(typeName, file);
      this.#addMessages(message.nestedMessages, file);
    }
  }

  answer({ messageRequest }: ServerReflectionRequest): Answer {
    switch (messageRequest.case) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: this.#services.map((name) => ({ name })) } };
      case "fileByFilename":
        return described(this.#files.get(messageRequest.value), messageRequest.value);
      case "fileContainingSymbol":
        return described(this.#symbols.get(messageRequest.value), messageRequest.value);
      case "allExtensionNumbersOfType":
        if (!this.#symbols.has(messageRequest.value)) return notFound(messageRequest.value);
        return {
          case: "allExtensionNumbersResponse",
          value: { baseTypeName: messageRequest.value, extensionNumber: [] },
        };
      default:
        return notFound(messageRequest.case ?? "an empty request");
    }
  }
}

/** A file and, before it, all that it imports. */
function described(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) return notFound(asked);
  const found = new Set<DescFile>();
  const add = (one: DescFile): void => {
    for (const imported of one.dependencies) add(imported);
    found.add(one);
  };
  add(file);
  const fileDescriptorProto = [...found].reverse().map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function notFound(asked: string): Answer {
  return { case: "errorResponse", value: { errorCode: NOT_FOUND, errorMessage: `nothing is known of ${asked}` } };
}
