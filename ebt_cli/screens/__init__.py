"""Live screens of collect, train and deploy, and the widgets they are made of. They only display."""
