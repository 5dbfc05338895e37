package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.Arrays;
import java.util.Collections;

/**
 * A C function of integers and addresses, bound once. It answers as the kernel does: the result, or the negated errno
 * of this very call. A constant of this record costs a call no more than a constant method handle, and nothing is
 * allocated.
 */
@SuppressWarnings("restricted") // Binding C functions is what this package is for.
record NativeFunction(MethodHandle handle) {
    private static final Linker LINKER = Linker.nativeLinker();
    /** A pointer or a {@code size_t}. */
    static final ValueLayout WORD = JAVA_LONG;

    private static final int MAX_ARGUMENTS = 6;
    private static final MethodType UNIFORM = MethodType.methodType(long.class, MemorySegment.class)
            .appendParameterTypes(Collections.nCopies(MAX_ARGUMENTS, long.class));

    /** Fixed arguments only. */
    static NativeFunction of(String name, ValueLayout result, ValueLayout... arguments) {
        return bind(name, result, arguments, Linker.Option.captureCallState("errno"));
    }

    /** The C prototype has {@code fixedArguments} and then an ellipsis. */
    static NativeFunction variadic(String name, int fixedArguments, ValueLayout result, ValueLayout... arguments) {
        return bind(
                name,
                result,
                arguments,
                Linker.Option.captureCallState("errno"),
                Linker.Option.firstVariadicArg(fixedArguments));
    }

    private static NativeFunction bind(
            String name, ValueLayout result, ValueLayout[] arguments, Linker.Option... options) {
        FunctionDescriptor prototype =
                FunctionDescriptor.of(result, Arrays.copyOf(arguments, arguments.length, MemoryLayout[].class));
        MethodHandle exact = LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), prototype, options);
        Class<?>[] padding = new Class<?>[MAX_ARGUMENTS - arguments.length];
        Arrays.fill(padding, long.class);
        MethodHandle padded = MethodHandles.dropArguments(exact, exact.type().parameterCount(), padding);
        return new NativeFunction(MethodHandles.explicitCastArguments(padded, UNIFORM));
    }

    long call(long a) {
        return call(a, 0, 0, 0, 0, 0);
    }

    long call(long a, long b) {
        return call(a, b, 0, 0, 0, 0);
    }

    long call(long a, long b, long c) {
        return call(a, b, c, 0, 0, 0);
    }

    long call(long a, long b, long c, long d) {
        return call(a, b, c, d, 0, 0);
    }

    /** The result, or minus errno. Calls that a signal interrupted are made again. */
    long call(long a, long b, long c, long d, long e, long f) {
        long result;
        do {
            result = callOnce(a, b, c, d, e, f);
        } while (result == -Errno.EINTR);
        return result;
    }

    /** As {@link #call}, but an interruption is an answer: for close(2) and for calls with a timeout. */
    long callOnce(long a, long b, long c, long d, long e, long f) {
        CallMemory memory = CallMemory.ofThisThread();
        long result;
        try {
            result = (long) handle.invokeExact(memory.state(), a, b, c, d, e, f);
        } catch (RuntimeException | Error failure) {
            throw failure;
        } catch (Throwable impossible) {
            throw new AssertionError("a C function threw", impossible);
        }
        return result == -1 ? -memory.errno() : result;
    }
}
