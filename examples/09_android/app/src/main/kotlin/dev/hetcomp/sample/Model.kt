package dev.hetcomp.sample

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** The compiled model of this application; one thread at a time may use it. */
class Model(options: String = "{}") : AutoCloseable {
    private val handle: Long = Library.open(options)

    /** The memory of an input, to write before [run]; it stays the same until [close]. */
    fun input(index: Int): ByteBuffer = Library.input(handle, index).order(ByteOrder.nativeOrder())

    /** The memory of an output, to read after [run]. */
    fun output(index: Int): ByteBuffer = Library.output(handle, index).order(ByteOrder.nativeOrder())

    /** One inference. */
    fun run(): Unit = Library.run(handle)

    /** What runs where, as JSON. */
    fun status(): String = Library.status(handle)

    override fun close(): Unit = Library.close(handle)
}

/** model_jni.cc. */
internal object Library {
    init {
        System.loadLibrary("sample")
    }

    external fun open(options: String): Long

    external fun input(handle: Long, index: Int): ByteBuffer

    external fun output(handle: Long, index: Int): ByteBuffer

    external fun run(handle: Long)

    external fun status(handle: Long): String

    external fun close(handle: Long)
}
