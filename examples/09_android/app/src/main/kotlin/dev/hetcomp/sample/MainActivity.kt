package dev.hetcomp.sample

import android.app.Activity
import android.os.Bundle
import android.widget.TextView
import kotlin.concurrent.thread

/** Runs the model on zeros and shows its first values, its time, and who computed. */
class MainActivity : Activity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val view = TextView(this)
        setContentView(view)
        // Opening may take seconds: the driver compiles.
        thread {
            val text = runCatching { report() }.getOrElse { "failed: ${it.message}" }
            runOnUiThread { view.text = text }
        }
    }

    private fun report(): String =
        Model("""{"cache": "${codeCacheDir.path}"}""").use { model ->
            model.run()
            val times = List(RUNS) { timedMs(model::run) }.sorted()
            val values = model.output(0).asFloatBuffer()
            val first = List(minOf(SHOWN, values.remaining())) { values.get(it) }
            "first values: $first\nmedian of $RUNS: ${times[RUNS / 2]} ms\n${model.status()}"
        }

    private fun timedMs(work: () -> Unit): Double {
        val begin = System.nanoTime()
        work()
        return (System.nanoTime() - begin) / 1e6
    }

    private companion object {
        const val RUNS = 21
        const val SHOWN = 4
    }
}
