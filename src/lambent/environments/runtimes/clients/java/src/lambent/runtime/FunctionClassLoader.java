package lambent.runtime;

import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The function's classes: its package, the jars in its lib, then those of layers, each in the order of their names. */
final class FunctionClassLoader extends URLClassLoader {
    FunctionClassLoader(String taskRoot, String layerRoot, ClassLoader parent) {
        super(places(taskRoot, layerRoot), parent);
    }

    private static URL[] places(String taskRoot, String layerRoot) {
        List<URL> places = new ArrayList<>();
        places.add(url(taskRoot + "/"));
        addJars(new File(taskRoot, "lib"), places);
        addJars(new File(layerRoot, "java/lib"), places);
        return places.toArray(new URL[0]);
    }

    private static void addJars(File directory, List<URL> places) {
        String[] names = directory.list((parent, name) -> name.endsWith(".jar") && name.length() > 4);
        if (names == null) return;
        Arrays.sort(names);
        for (String each : names) places.add(url(directory.getPath() + "/" + each));
    }

    private static URL url(String path) {
        try {
            // Not by File.toURI: that asks the file system what it is, and names need no escaping here.
            return new URL("file", null, -1, path);
        } catch (MalformedURLException error) {
            throw new IllegalStateException(error);
        }
    }
}
